/* events.table.due */
-- Delayed events whose time has come (status 1), or leases that have ended (status 3). Rows that
-- another session is settling are passed over, so nobody waits.
SELECT id, attempts
  FROM sqlspec_event_queue
 WHERE queue_id = :queue_id AND status = :status AND due_at <= :now
 ORDER BY due_at
   FOR UPDATE SKIP LOCKED
