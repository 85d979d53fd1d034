-- What nobody has acknowledged; walks partial indexes that are empty when all is done.
SELECT (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 11)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 12)
     + (SELECT count(*) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 13)
