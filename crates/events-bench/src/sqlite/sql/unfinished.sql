-- What nobody has acknowledged; walks partial indexes that are empty when all is done.
SELECT (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 0)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 1)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 2)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 3)
