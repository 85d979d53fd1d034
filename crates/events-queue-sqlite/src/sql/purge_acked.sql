DELETE FROM sqlspec_event_queue
 WHERE id IN (SELECT id FROM sqlspec_event_queue
               WHERE queue_id IN (SELECT queue_id FROM sqlspec_event_queue_queue) AND status = 14 AND acked_at <= ?1
               LIMIT ?2)
