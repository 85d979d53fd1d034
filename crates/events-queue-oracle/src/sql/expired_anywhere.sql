/* events.table.expired_anywhere */
-- The same for queues without a consumer.
SELECT id
  FROM sqlspec_event_queue
 WHERE expiry_queue IS NOT NULL AND expires_at <= SYS_EXTRACT_UTC(SYSTIMESTAMP)
   FOR UPDATE SKIP LOCKED
