INSERT INTO sqlspec_event_queue_queue (channel) VALUES ('bench')
