-- As notify_many, and what the notifications cannot carry is stored in the same statement.
WITH stored AS (
    INSERT INTO sqlspec_event_queue (event_id, envelope)
    SELECT spilled.event_id::uuid, spilled.envelope
    FROM unnest($3::text[], $4::text[]) AS spilled (event_id, envelope)
)
SELECT count(pg_notify(event.channel, event.payload))
FROM unnest($1::text[], $2::text[]) AS event (channel, payload)
