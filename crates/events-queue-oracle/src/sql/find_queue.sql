/* events.table.find_queue */
SELECT queue_id FROM sqlspec_event_queue_queue WHERE channel = :channel AND consumer_group = :consumer_group
