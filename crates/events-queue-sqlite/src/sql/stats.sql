-- Each count walks one index of one status.
SELECT (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 0)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 2),
       (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 1),
       (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 3),
       (SELECT count(*) FROM sqlspec_event_queue_dead WHERE queue_id = ?1)
