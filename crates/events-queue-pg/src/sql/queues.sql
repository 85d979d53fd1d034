SELECT queue_id, channel, consumer_group
  FROM sqlspec_event_queue_queue
 WHERE $1::text IS NULL OR channel = $1
 ORDER BY channel, consumer_group
