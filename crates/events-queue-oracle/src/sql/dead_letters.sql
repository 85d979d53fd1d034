/* events.table.dead_letters */
-- The newest first; the caller fetches as many as it wants.
SELECT d.event_id, q.consumer_group, d.attempts, d.reason, d.last_error, d.created_at, d.died_at, d.metadata, d.payload
  FROM sqlspec_event_queue_dead d
  JOIN sqlspec_event_queue_queue q ON q.queue_id = d.queue_id
 WHERE q.channel = :channel
 ORDER BY d.died_at DESC, d.id DESC
