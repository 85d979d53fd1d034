/* events.table.identify */
-- Fills up an id of another program that is too short, so that verdicts can match it.
UPDATE sqlspec_event_queue SET event_id = :event_id
 WHERE id = :id AND lease_token = :lease_token
