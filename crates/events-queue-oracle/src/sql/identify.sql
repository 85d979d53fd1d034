/* events.table.identify */
-- Fills up the id of another program's row that is too short, so that verdicts can match it.
UPDATE sqlspec_event_queue SET event_id = :event_id
 WHERE id = :id AND lease_token = :lease_token
