-- Whether a claim would find something, and when the first delayed event is due; each is one seek in one index.
SELECT NOT coalesce((SELECT paused FROM sqlspec_event_queue_queue WHERE queue_id = ?1), 0)
       AND (EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10)
            OR EXISTS (SELECT 1 FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 12)),
       (SELECT min(available_at) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 11)
