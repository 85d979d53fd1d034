-- Row ids of dead letters of a channel: of one event, or of all.
SELECT d.id
  FROM sqlspec_event_queue_dead AS d
  JOIN sqlspec_event_queue_queue AS q ON q.queue_id = d.queue_id
 WHERE q.channel = ?1 AND (?2 IS NULL OR d.event_id = ?2)
 ORDER BY d.id
