WITH gone AS (
    DELETE FROM sqlspec_event_queue WHERE queue_id = $1 AND priority = 0 AND id = ANY ($2) AND state = 1
    RETURNING queue_id, id, priority, attempts, created_at, event_id, metadata, payload
)
INSERT INTO sqlspec_event_queue_done (queue_id, id, priority, attempts, created_at, event_id, metadata, payload)
SELECT * FROM gone
