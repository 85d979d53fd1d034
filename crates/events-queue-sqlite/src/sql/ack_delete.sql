-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
DELETE FROM sqlspec_event_queue
 WHERE id = ?1 AND lease_token = ?2 AND event_id = ?3 AND queue_id = ?4 AND status IN (12, 13)
