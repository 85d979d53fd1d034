-- A key that was forgotten meanwhile is remembered again.
INSERT INTO sqlspec_event_queue_key (event_id, pending) VALUES (?1, ?2)
ON CONFLICT (event_id) DO UPDATE SET pending = pending + ?2, expires_at = NULL
