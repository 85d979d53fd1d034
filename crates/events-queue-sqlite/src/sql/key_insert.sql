INSERT INTO sqlspec_event_queue_key (event_id, pending) VALUES (?1, 0) ON CONFLICT (event_id) DO NOTHING
