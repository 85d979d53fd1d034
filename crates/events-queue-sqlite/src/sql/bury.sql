INSERT INTO sqlspec_event_queue_dead
    (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, died_at, created_at, last_error, metadata, payload)
SELECT queue_id, event_id, priority, attempts, lease_token, keyed, requeues, ?2, ?3, created_at, coalesce(?4, last_error),
       metadata, payload
  FROM sqlspec_event_queue
 WHERE id = ?1
