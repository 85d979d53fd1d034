-- Events whose lease has ended and that may be tried again; they will be claimed alone.
UPDATE sqlspec_event_queue SET status = 12
 WHERE id IN (SELECT id FROM sqlspec_event_queue
               WHERE queue_id = ?1 AND status = 13 AND lease_expires_at <= ?2
               ORDER BY lease_expires_at LIMIT 500)
   AND attempts < ?3
