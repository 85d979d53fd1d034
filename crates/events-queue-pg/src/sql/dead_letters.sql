SELECT d.event_id, q.consumer_group, d.attempts, d.reason, d.last_error, d.created_at, d.died_at, d.metadata, d.payload
  FROM sqlspec_event_queue_dead AS d
  JOIN sqlspec_event_queue_queue AS q ON q.queue_id = d.queue_id
 WHERE q.channel = $1
 ORDER BY d.died_at DESC, d.id DESC
 LIMIT $2
