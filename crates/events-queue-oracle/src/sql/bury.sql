/* events.table.bury */
-- Copies a row, whose lock this session has, to the dead letters.
INSERT INTO sqlspec_event_queue_dead
       (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, created_at, last_error, metadata, payload)
SELECT queue_id, event_id, priority, attempts, lease_token, keyed, requeues, :reason, created_at,
       COALESCE(:last_error, last_error), metadata, payload
  FROM sqlspec_event_queue
 WHERE id = :id
