-- The first event whose last lease ended, and no other with it.
UPDATE sqlspec_event_queue
   SET status = 13, attempts = attempts + 1, lease_token = lease_token + 1, lease_expires_at = ?2
 WHERE id = (SELECT id FROM sqlspec_event_queue
              WHERE queue_id = ?1 AND status = 12
                AND (expires_at IS NULL OR expires_at > ?3)
              ORDER BY priority DESC, id LIMIT 1)
RETURNING id, event_id, priority, attempts, lease_token, keyed, available_at, created_at, expires_at, metadata, payload
