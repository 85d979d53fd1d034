-- One for each group that is registered for the channel; found by the unique index.
SELECT queue_id FROM sqlspec_event_queue_queue WHERE channel = ?1
