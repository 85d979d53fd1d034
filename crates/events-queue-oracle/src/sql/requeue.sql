/* events.table.requeue */
-- The count of attempts starts anew; the fence is raised, so that no earlier holding fits.
INSERT INTO sqlspec_event_queue
       (queue_id, event_id, priority, lease_token, keyed, requeues, created_at, last_error, metadata, payload)
SELECT queue_id, event_id, priority, lease_token + 1, keyed, requeues, created_at, last_error, metadata, payload
  FROM sqlspec_event_queue_dead
 WHERE id = :id
