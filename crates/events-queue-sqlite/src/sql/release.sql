-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
-- A suspect stays one, so a raised fence is what tells that nobody holds it any more.
UPDATE sqlspec_event_queue
   SET status = ?4, attempts = max(attempts - 1, 0), lease_token = lease_token + (?4 = 12)
 WHERE id = ?1 AND lease_token = ?2 AND event_id = ?3 AND queue_id = ?5 AND status IN (12, 13)
