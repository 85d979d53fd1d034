/* events.table.purge_acked */
-- Acknowledged events that retention has passed.
SELECT id
  FROM sqlspec_event_queue
 WHERE queue_id IN (SELECT queue_id FROM sqlspec_event_queue_queue)
   AND status = 4 AND due_at <= SYS_EXTRACT_UTC(SYSTIMESTAMP) - NUMTODSINTERVAL(:retention, 'SECOND')
   FOR UPDATE SKIP LOCKED
