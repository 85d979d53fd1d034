INSERT INTO sqlspec_event_queue (queue_id, priority, event_id, payload)
SELECT 1, 5, gen_random_uuid(), '{}' FROM generate_series(1, $n)
