/* events.table.hold_expired */
-- Holds a row that has expired, if nobody claimed it meanwhile, before it becomes a dead letter.
UPDATE sqlspec_event_queue SET due_at = NULL
 WHERE id = :id AND expiry_queue = queue_id AND expires_at <= SYS_EXTRACT_UTC(SYSTIMESTAMP)
