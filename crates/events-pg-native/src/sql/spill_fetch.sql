SELECT event_id::text, envelope
FROM sqlspec_event_queue
WHERE event_id = ANY ($1::text[]::uuid[])
