SELECT queue_id FROM sqlspec_event_queue_queue WHERE channel = $1 AND consumer_group = $2
