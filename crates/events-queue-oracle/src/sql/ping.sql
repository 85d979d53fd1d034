/* events.table.ping */
-- Touches our table, so a dropped schema is seen.
SELECT COUNT(*) AS queues FROM sqlspec_event_queue_queue WHERE queue_id = 0
