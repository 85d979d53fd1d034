-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
UPDATE sqlspec_event_queue
   SET status = ?4, available_at = ?5, last_error = coalesce(?6, last_error)
 WHERE id = ?1 AND lease_token = ?2 AND event_id = ?3 AND queue_id = ?7 AND status IN (12, 13)
