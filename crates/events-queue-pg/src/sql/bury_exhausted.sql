-- Events whose lease has ended for the last time.
WITH gone AS (
    DELETE FROM sqlspec_event_queue AS e
     WHERE e.ctid = ANY (ARRAY(
           SELECT found.ctid
             FROM unnest($3::bigint[]) AS wanted (id)
            CROSS JOIN LATERAL (
                  SELECT c.ctid
                    FROM sqlspec_event_queue AS c
                   WHERE c.queue_id = $1 AND c.priority = $2 AND c.id = wanted.id
                     AND (c.state = 2 OR c.state = 1 AND c.lease_expires_at <= statement_timestamp())
                     AND c.attempts >= $4
                   LIMIT 1
                     FOR UPDATE SKIP LOCKED) AS found))
    RETURNING e.*
), dead AS (
    INSERT INTO sqlspec_event_queue_dead
           (queue_id, priority, attempts, lease_token, requeues, keyed, reason, created_at, event_id, last_error, metadata, payload)
    SELECT queue_id, priority, attempts, lease_token, requeues, keyed, $5, created_at, event_id,
           coalesce($6, last_error), metadata, payload
      FROM gone
), settled AS (
    UPDATE sqlspec_event_queue_key AS k
       SET pending = k.pending - gone.groups,
           expires_at = CASE WHEN k.pending <= gone.groups THEN statement_timestamp() + $7::bigint * interval '1 microsecond' END
      FROM (SELECT event_id, count(*)::integer AS groups FROM gone WHERE keyed GROUP BY event_id) AS gone
     WHERE k.event_id = gone.event_id
)
SELECT count(*) FROM gone
