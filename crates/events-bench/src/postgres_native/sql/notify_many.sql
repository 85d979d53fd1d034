-- One notification for each payload, all of them or none, and one row for an answer.
SELECT count(pg_notify($1, payload))
FROM unnest($2::text[]) AS payload
