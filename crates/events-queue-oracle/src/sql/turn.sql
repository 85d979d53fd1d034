/* events.table.turn */
-- Makes a row claimable, whose lock this session has.
UPDATE sqlspec_event_queue SET status = :status, due_at = NULL
 WHERE id = :id
