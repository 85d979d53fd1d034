/* events.table.retry */
-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
UPDATE sqlspec_event_queue
   SET status = :status, last_error = COALESCE(:last_error, last_error),
       available_at = SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:delay, 'SECOND'),
       due_at = CASE WHEN :status = 1 THEN SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:delay, 'SECOND') END
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
