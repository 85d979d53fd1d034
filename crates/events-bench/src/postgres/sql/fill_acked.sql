INSERT INTO sqlspec_event_queue_done (queue_id, id, priority, attempts, created_at, event_id, payload)
SELECT 1, n, 0, 1, now(), gen_random_uuid(), '{}' FROM generate_series(1, $n) AS n
