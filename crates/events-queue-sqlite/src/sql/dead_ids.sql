-- Row ids of dead letters of a channel, a batch after the last one.
SELECT d.id
  FROM sqlspec_event_queue_dead AS d
  JOIN sqlspec_event_queue_queue AS q ON q.queue_id = d.queue_id
 WHERE q.channel = ?1 AND d.id > ?2 AND d.id <= ?3
 ORDER BY d.id
 LIMIT ?4
