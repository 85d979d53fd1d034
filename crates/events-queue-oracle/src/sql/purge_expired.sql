/* events.table.purge_expired */
-- Dead letters that only expired go with retention; the others wait for a person.
SELECT id
  FROM sqlspec_event_queue_dead
 WHERE reason = 'expired' AND died_at <= SYS_EXTRACT_UTC(SYSTIMESTAMP) - NUMTODSINTERVAL(:retention, 'SECOND')
   FOR UPDATE SKIP LOCKED
