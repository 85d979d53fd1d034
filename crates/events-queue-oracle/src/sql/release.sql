/* events.table.release */
-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
-- A suspect stays one, so a raised fence is what tells that nobody holds it any more.
UPDATE sqlspec_event_queue
   SET status = :status, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, due_at = NULL,
       lease_token = CASE WHEN :status = 2 THEN lease_token + 1 ELSE lease_token END
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
