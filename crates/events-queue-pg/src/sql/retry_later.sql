-- Fenced: only the holding that was given this token, also after its lease ended unclaimed. Rows
-- are found by key, then visited by ctid; the fence is checked again for a row that changes meanwhile.
WITH gone AS (
    DELETE FROM sqlspec_event_queue AS e
     USING
       (SELECT held.ctid, hold.fence, hold.nr, hold.error, hold.time
          FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::bigint[]) WITH ORDINALITY
               AS hold (queue_id, priority, id, fence, event_id, error, time, nr)
         CROSS JOIN LATERAL (
               SELECT c.ctid
                 FROM sqlspec_event_queue AS c
                WHERE c.queue_id = hold.queue_id AND c.priority = hold.priority AND c.id = hold.id
                  AND c.lease_token = hold.fence AND c.event_id = hold.event_id AND c.state IN (1, 2)
                LIMIT 1) AS held) AS hold
     WHERE e.ctid = hold.ctid AND e.lease_token = hold.fence AND e.state IN (1, 2)
    RETURNING hold.nr, hold.time, coalesce(hold.error, e.last_error) AS error, e.queue_id, e.priority, e.created_at,
              e.expires_at, e.lease_token, e.attempts, e.requeues, e.keyed, e.event_id, e.metadata, e.payload
), delayed AS (
    INSERT INTO sqlspec_event_queue_delayed
           (queue_id, due_at, priority, created_at, expires_at, lease_token, attempts, requeues, keyed, event_id,
            last_error, metadata, payload)
    SELECT queue_id, statement_timestamp() + time * interval '1 microsecond', priority, created_at, expires_at,
           lease_token, attempts, requeues, keyed, event_id, error, metadata, payload
      FROM gone
)
SELECT gone.nr, (SELECT CASE WHEN $8 THEN set_config('synchronous_commit', 'off', true) END) FROM gone
