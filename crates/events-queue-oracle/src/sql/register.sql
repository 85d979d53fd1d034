/* events.table.register */
INSERT INTO sqlspec_event_queue_queue (channel, consumer_group) VALUES (:channel, :consumer_group)
