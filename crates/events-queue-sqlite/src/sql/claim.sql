-- The whole claim: choose along idx_claim, lease, count the attempt, raise the fence, return.
-- The order of RETURNING is not specified, so the caller sorts.
UPDATE sqlspec_event_queue
   SET status = 13, attempts = attempts + 1, lease_token = lease_token + 1, lease_expires_at = ?2
 WHERE id IN (SELECT id FROM sqlspec_event_queue
               WHERE queue_id = ?1 AND status = 10 AND priority >= ?3
                 AND (expires_at IS NULL OR expires_at > ?5)
               ORDER BY priority DESC, id LIMIT ?4)
RETURNING id, event_id, priority, attempts, lease_token, keyed, available_at, created_at, expires_at, metadata, payload
