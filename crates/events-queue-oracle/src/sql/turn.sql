/* events.table.turn */
-- Makes a row claimable. The lock alone is not relied on: a row that another session has settled or
-- claimed since it was looked at stays as it is.
UPDATE sqlspec_event_queue SET status = :status, due_at = NULL
 WHERE id = :id AND status = :was AND due_at <= :now
