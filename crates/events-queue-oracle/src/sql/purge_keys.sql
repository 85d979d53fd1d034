/* events.table.purge_keys */
SELECT event_id
  FROM sqlspec_event_queue_key
 WHERE expires_at <= SYS_EXTRACT_UTC(SYSTIMESTAMP)
   FOR UPDATE SKIP LOCKED
