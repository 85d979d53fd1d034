/* events.table.key_buried */
-- Settles the key of a row that becomes a dead letter, if it has one.
UPDATE sqlspec_event_queue_key
   SET pending = pending - 1,
       expires_at = CASE WHEN pending <= 1 THEN SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:keep, 'SECOND') END
 WHERE event_id IN (SELECT event_id FROM sqlspec_event_queue WHERE id = :id AND keyed = 1)
