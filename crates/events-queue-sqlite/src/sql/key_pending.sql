UPDATE sqlspec_event_queue_key SET pending = pending + ?2, expires_at = NULL WHERE event_id = ?1
