-- Each count walks one index of one status, and of one queue.
SELECT (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 12),
       (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 11),
       (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 13),
       (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 14),
       (SELECT count(*) FROM sqlspec_event_queue_dead WHERE queue_id = ?1)
