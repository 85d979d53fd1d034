-- The count of attempts starts anew; the fence goes on. A key that was forgotten is remembered again.
WITH gone AS (
    DELETE FROM sqlspec_event_queue_dead AS d
     WHERE d.ctid = ANY (ARRAY(
           SELECT found.ctid
             FROM unnest($1::integer[], $2::bigint[]) AS wanted (queue_id, id)
            CROSS JOIN LATERAL (
                  SELECT c.ctid
                    FROM sqlspec_event_queue_dead AS c
                   WHERE c.queue_id = wanted.queue_id AND c.id = wanted.id
                   LIMIT 1) AS found))
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
