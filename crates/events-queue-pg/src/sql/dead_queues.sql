-- The queues of a channel that hold dead letters, and the last of each.
SELECT q.queue_id, d.id
  FROM sqlspec_event_queue_queue AS q
 CROSS JOIN LATERAL (
       SELECT c.id
         FROM sqlspec_event_queue_dead AS c
        WHERE c.queue_id = q.queue_id
        ORDER BY c.queue_id DESC, c.id DESC
        LIMIT 1) AS d
 WHERE q.channel = $1
