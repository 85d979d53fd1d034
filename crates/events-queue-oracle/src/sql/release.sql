/* events.table.release */
-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
UPDATE sqlspec_event_queue SET status = :status, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, due_at = NULL
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
