SELECT (SELECT count(*) FROM sqlspec_event_queue) + (SELECT count(*) FROM sqlspec_event_queue_delayed)
