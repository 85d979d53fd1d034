SELECT c.queue_id, c.id
  FROM sqlspec_event_queue_dead AS c
 WHERE c.queue_id = $1 AND c.id > $2 AND c.id <= $3
 ORDER BY c.queue_id, c.id
 LIMIT $4
