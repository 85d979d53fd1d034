/* events.table.hold_foreign */
-- Holds a row whose counts cannot be raised, if it is still so, before it becomes a dead letter.
UPDATE sqlspec_event_queue SET status = 3
 WHERE id = :id AND status IN (0, 2) AND 9999999999 IN (attempts, lease_token)
