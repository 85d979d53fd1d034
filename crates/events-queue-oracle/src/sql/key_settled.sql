/* events.table.key_settled */
-- The key lives on for a while after the last group has settled the event.
UPDATE sqlspec_event_queue_key
   SET pending = pending - 1,
       expires_at = CASE WHEN pending <= 1 THEN SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:keep, 'SECOND') END
 WHERE event_id = :event_id
