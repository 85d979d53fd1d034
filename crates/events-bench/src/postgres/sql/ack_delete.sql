DELETE FROM sqlspec_event_queue WHERE queue_id = $1 AND priority = 0 AND id = ANY ($2) AND state = 1
