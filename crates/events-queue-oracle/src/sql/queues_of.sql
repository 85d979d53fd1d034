/* events.table.queues_of */
SELECT queue_id FROM sqlspec_event_queue_queue WHERE channel = :channel
