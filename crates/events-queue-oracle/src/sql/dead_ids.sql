/* events.table.dead_ids */
-- Dead letters of a channel: of one event, or of all.
SELECT d.id, d.queue_id, d.event_id, d.keyed
  FROM sqlspec_event_queue_dead d
  JOIN sqlspec_event_queue_queue q ON q.queue_id = d.queue_id
 WHERE q.channel = :channel AND (:event_id IS NULL OR d.event_id = :event_id)
 ORDER BY d.id
