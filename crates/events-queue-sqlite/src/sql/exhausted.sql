-- Events whose lease has ended for the last time, among the first that ended: however many have,
-- a turn looks at a bounded number.
SELECT id FROM sqlspec_event_queue
 WHERE id IN (SELECT id FROM sqlspec_event_queue
               WHERE queue_id = ?1 AND status = 13 AND lease_expires_at <= ?2
               ORDER BY lease_expires_at LIMIT 500)
   AND attempts >= ?3
