INSERT INTO sqlspec_event_queue (queue_id, state, lease_token, attempts, lease_expires_at, event_id, payload)
SELECT 1, 1, 1, 1, now() + interval '1 day', gen_random_uuid(), '{}' FROM generate_series(1, $n)
