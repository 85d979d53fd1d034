/* events.table.key_again */
-- One group more has to settle the event of this key.
UPDATE sqlspec_event_queue_key SET pending = pending + 1, expires_at = NULL
 WHERE event_id = :event_id
