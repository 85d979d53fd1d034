/* events.table.claim */
-- Read in the order of idx_claim, without a sort. Oracle locks a row when it is fetched, so the
-- caller fetches as many as it wants and no more; a limit in the statement would either be refused
-- or be counted before the test of the lock.
SELECT id, event_id, priority, attempts, lease_token, keyed, available_at, created_at, expires_at, metadata, payload
  FROM sqlspec_event_queue
 WHERE queue_id = :queue_id AND status = :status AND priority < :before
   AND (expires_at IS NULL OR expires_at > :now)
 ORDER BY priority, id
   FOR UPDATE SKIP LOCKED
