/* events.table.remove_buried */
-- Deletes a row that was copied to the dead letters; this session changed it and so has its lock.
DELETE FROM sqlspec_event_queue WHERE id = :id
