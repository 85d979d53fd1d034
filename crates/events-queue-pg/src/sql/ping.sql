-- Touches our table, so a dropped schema is seen.
SELECT current_setting('server_version') FROM (SELECT count(*) FROM (SELECT FROM sqlspec_event_queue_queue LIMIT 1) AS one) AS seen
