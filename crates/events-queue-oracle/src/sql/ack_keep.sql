/* events.table.ack_keep */
-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
UPDATE sqlspec_event_queue SET status = 4, due_at = SYS_EXTRACT_UTC(SYSTIMESTAMP)
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
