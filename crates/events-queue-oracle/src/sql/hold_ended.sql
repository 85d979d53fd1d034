/* events.table.hold_ended */
-- Holds a row whose lease has ended, if it is still so, before it becomes a dead letter.
UPDATE sqlspec_event_queue SET status = 3
 WHERE id = :id AND status = 3 AND due_at <= :now
