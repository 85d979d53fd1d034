-- The newest of each group, and the newest of those.
SELECT d.event_id, q.consumer_group, d.attempts, d.reason, d.last_error, d.created_at, d.died_at, d.metadata, d.payload
  FROM sqlspec_event_queue_queue AS q
 CROSS JOIN LATERAL (
       SELECT newest.*
         FROM sqlspec_event_queue_dead AS newest
        WHERE newest.queue_id = q.queue_id
        ORDER BY newest.queue_id DESC, newest.id DESC
        LIMIT $2) AS d
 WHERE q.channel = $1
 ORDER BY d.id DESC
 LIMIT $2
