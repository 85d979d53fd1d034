/* events.table.key_remove */
DELETE FROM sqlspec_event_queue_key WHERE event_id = :event_id
