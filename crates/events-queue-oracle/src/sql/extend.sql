/* events.table.extend */
-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
UPDATE sqlspec_event_queue
   SET status = 3, due_at = SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:lease, 'SECOND')
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
