/* events.table.ack_delete */
-- Fenced: only the holding that was given this token, also after its lease ended unclaimed.
DELETE FROM sqlspec_event_queue
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)
