-- Events that nobody claimed in time.
SELECT id FROM sqlspec_event_queue
 WHERE queue_id = ?1 AND expires_at IS NOT NULL AND status < 13 AND expires_at <= ?2
 ORDER BY expires_at LIMIT 500
