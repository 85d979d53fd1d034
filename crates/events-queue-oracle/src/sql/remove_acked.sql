/* events.table.remove_acked */
DELETE FROM sqlspec_event_queue WHERE id = :id AND status = 4
