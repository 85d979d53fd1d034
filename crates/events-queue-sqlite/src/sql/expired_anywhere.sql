-- The same for queues without a consumer.
SELECT id FROM sqlspec_event_queue
 WHERE queue_id IN (SELECT queue_id FROM sqlspec_event_queue_queue)
   AND expires_at IS NOT NULL AND status < 13 AND expires_at <= ?1
 LIMIT ?2
