DELETE FROM sqlspec_event_queue
 WHERE id IN (SELECT id FROM sqlspec_event_queue WHERE status = 14 AND acked_at <= ?1 ORDER BY acked_at LIMIT ?2)
