-- Delayed events whose time has come.
UPDATE sqlspec_event_queue SET status = 10
 WHERE id IN (SELECT id FROM sqlspec_event_queue
               WHERE queue_id = ?1 AND status = 11 AND available_at <= ?2
               ORDER BY available_at LIMIT 500)
