-- Whether there is an event that nobody has acknowledged; one step in each partial index.
SELECT EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 0)
    OR EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 2)
    OR EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 3)
