-- As notify_many, when all go to one channel: nothing is paired, and the channel is sent once.
SELECT count(pg_notify($1, event.payload))
FROM unnest($2::text[]) AS event (payload)
