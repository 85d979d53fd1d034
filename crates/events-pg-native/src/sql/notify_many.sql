-- Notifications in the order of the arrays, all of them or none. Counting them makes the answer
-- one row instead of one for each.
SELECT count(pg_notify(event.channel, event.payload))
FROM unnest($1::text[], $2::text[]) AS event (channel, payload)
