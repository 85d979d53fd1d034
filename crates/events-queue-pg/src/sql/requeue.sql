-- The count of attempts starts anew; the fence goes on. A key that was forgotten is remembered again.
WITH gone AS (
    DELETE FROM sqlspec_event_queue_dead AS d
     USING sqlspec_event_queue_queue AS q
     WHERE q.queue_id = d.queue_id AND q.channel = $1 AND ($2::uuid[] IS NULL OR d.event_id = ANY ($2))
    RETURNING d.*
), key AS (
    INSERT INTO sqlspec_event_queue_key AS k (event_id, pending)
    SELECT event_id, count(*)::integer FROM gone WHERE keyed GROUP BY event_id ORDER BY event_id
        ON CONFLICT (event_id) DO UPDATE SET pending = k.pending + excluded.pending, expires_at = NULL
), ready AS (
    INSERT INTO sqlspec_event_queue
           (queue_id, priority, created_at, lease_token, requeues, keyed, event_id, last_error, metadata, payload)
    SELECT queue_id, priority, created_at, lease_token, requeues + 1, keyed, event_id, last_error, metadata, payload
      FROM gone
     ORDER BY gone.id
    RETURNING queue_id, id
)
SELECT queue_id, min(id), count(*) FROM ready GROUP BY queue_id
