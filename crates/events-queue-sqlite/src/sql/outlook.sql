-- What a queue holds that a claim may have to act on; each column is one seek in one index.
SELECT (SELECT min(available_at) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 11),
       (SELECT min(lease_expires_at) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 13),
       (SELECT min(expires_at) FROM sqlspec_event_queue
         WHERE queue_id = ?1 AND expires_at IS NOT NULL AND status < 13),
       (SELECT priority FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10
         ORDER BY priority DESC, id LIMIT 1),
       (SELECT priority FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 12
         ORDER BY priority DESC, id LIMIT 1),
       (SELECT paused FROM sqlspec_event_queue_queue WHERE queue_id = ?1)
