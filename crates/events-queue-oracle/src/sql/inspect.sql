/* events.table.inspect */
-- What became of a holding.
SELECT status FROM sqlspec_event_queue
 WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id
