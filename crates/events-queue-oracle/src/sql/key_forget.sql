/* events.table.key_forget */
-- A key whose time is over does not stop a publish.
DELETE FROM sqlspec_event_queue_key
 WHERE event_id = :event_id AND expires_at <= SYS_EXTRACT_UTC(SYSTIMESTAMP)
