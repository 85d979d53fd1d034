/* events.table.lease */
-- The lock alone is not relied on: the fence decides.
UPDATE sqlspec_event_queue
   SET status = 3, attempts = attempts + 1, lease_token = lease_token + 1, due_at = :until
 WHERE id = :id AND lease_token = :lease_token AND status IN (0, 2)
