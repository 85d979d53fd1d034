INSERT INTO sqlspec_event_queue_queue (channel, consumer_group, created_at)
VALUES (?1, ?2, ?3)
ON CONFLICT (channel, consumer_group) DO NOTHING
