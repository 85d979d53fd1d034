/* events.table.remove */
DELETE FROM sqlspec_event_queue WHERE id = :id
