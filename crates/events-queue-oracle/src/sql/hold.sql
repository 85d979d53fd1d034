/* events.table.hold */
-- Locks the row of a holding that is to be given up, if it is still the last one.
UPDATE sqlspec_event_queue SET status = 3
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
