-- Row ids of the dead letters of one event in a channel, one for each group.
SELECT d.id
  FROM sqlspec_event_queue_dead AS d
  JOIN sqlspec_event_queue_queue AS q ON q.queue_id = d.queue_id
 WHERE d.event_id = ?2 AND q.channel = ?1
