DELETE FROM sqlspec_event_queue_dead
 WHERE id IN (SELECT id FROM sqlspec_event_queue_dead
               WHERE reason = 'expired' AND died_at <= ?1 ORDER BY died_at LIMIT ?2)
