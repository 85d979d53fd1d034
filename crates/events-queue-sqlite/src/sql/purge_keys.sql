DELETE FROM sqlspec_event_queue_key
 WHERE event_id IN (SELECT event_id FROM sqlspec_event_queue_key
                     WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
