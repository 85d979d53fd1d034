/* events.table.dead_remove */
DELETE FROM sqlspec_event_queue_dead WHERE id = :id
