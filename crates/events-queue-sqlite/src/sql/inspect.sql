-- What became of a holding.
SELECT status FROM sqlspec_event_queue WHERE id = ?1 AND lease_token = ?2 AND event_id = ?3 AND queue_id = ?4
