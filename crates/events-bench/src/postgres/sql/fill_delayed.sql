INSERT INTO sqlspec_event_queue_delayed (queue_id, priority, due_at, event_id, payload)
SELECT 1, 0, now() + interval '1 day', gen_random_uuid(), '{}' FROM generate_series(1, $n)
