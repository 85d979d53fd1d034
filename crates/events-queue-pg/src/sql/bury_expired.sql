-- Events that were not delivered in time: of one queue, or of all, ready and delayed.
WITH late AS (
    DELETE FROM sqlspec_event_queue AS e
     WHERE e.ctid = ANY (ARRAY(
           SELECT c.ctid
             FROM sqlspec_event_queue_queue AS q
            CROSS JOIN LATERAL (
                  SELECT c.ctid
                    FROM sqlspec_event_queue AS c
                   WHERE c.queue_id = q.queue_id AND c.expires_at IS NOT NULL AND c.expires_at <= statement_timestamp()
                     AND (c.state <> 1 OR c.lease_expires_at <= statement_timestamp())
                   ORDER BY c.queue_id, c.expires_at
                   LIMIT $2
                     FOR UPDATE SKIP LOCKED) AS c
            WHERE $1::integer IS NULL OR q.queue_id = $1
            LIMIT $2))
    RETURNING e.queue_id, e.priority, e.attempts, e.lease_token, e.requeues, e.keyed, e.created_at, e.event_id,
              e.last_error, e.metadata, e.payload
), late_delayed AS (
    DELETE FROM sqlspec_event_queue_delayed AS e
     WHERE e.ctid = ANY (ARRAY(
           SELECT c.ctid
             FROM sqlspec_event_queue_queue AS q
            CROSS JOIN LATERAL (
                  SELECT c.ctid
                    FROM sqlspec_event_queue_delayed AS c
                   WHERE c.queue_id = q.queue_id AND c.expires_at IS NOT NULL AND c.expires_at <= statement_timestamp()
                   ORDER BY c.queue_id, c.expires_at
                   LIMIT $2
                     FOR UPDATE SKIP LOCKED) AS c
            WHERE $1::integer IS NULL OR q.queue_id = $1
            LIMIT $2))
    RETURNING e.queue_id, e.priority, e.attempts, e.lease_token, e.requeues, e.keyed, e.created_at, e.event_id,
              e.last_error, e.metadata, e.payload
), gone AS (
    SELECT * FROM late UNION ALL SELECT * FROM late_delayed
), dead AS (
    INSERT INTO sqlspec_event_queue_dead
           (queue_id, priority, attempts, lease_token, requeues, keyed, reason, created_at, event_id, last_error, metadata, payload)
    SELECT queue_id, priority, attempts, lease_token, requeues, keyed, 'expired', created_at, event_id,
           last_error, metadata, payload
      FROM gone
), settled AS (
    UPDATE sqlspec_event_queue_key AS k
       SET pending = k.pending - gone.groups,
           expires_at = CASE WHEN k.pending <= gone.groups THEN statement_timestamp() + $3::bigint * interval '1 microsecond' END
      FROM (SELECT event_id, count(*)::integer AS groups FROM gone WHERE keyed GROUP BY event_id) AS gone
     WHERE k.event_id = gone.event_id
)
SELECT count(*) FROM gone
