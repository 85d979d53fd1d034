-- Events whose lease has ended for the last time.
SELECT id FROM sqlspec_event_queue
 WHERE queue_id = ?1 AND status = 3 AND lease_expires_at <= ?2 AND attempts >= ?3
 ORDER BY lease_expires_at LIMIT 500
