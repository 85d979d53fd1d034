-- Whether there is an event that nobody has acknowledged; one step in each partial index.
SELECT EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10)
    OR EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 12)
    OR EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 13)
