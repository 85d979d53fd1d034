-- Fenced: only the holding that was given this token, also after its lease ended unclaimed; one that
-- was released since is nobody's. Rows
-- are found by key, then visited by ctid; the fence is checked again for a row that changes meanwhile.
WITH held AS (
    UPDATE sqlspec_event_queue AS e
       SET state = 1, lease_expires_at = statement_timestamp() + hold.time * interval '1 microsecond'
      FROM
       (SELECT held.ctid, hold.fence, hold.nr, hold.time
          FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[], $5::uuid[], $6::bigint[]) WITH ORDINALITY
               AS hold (queue_id, priority, id, fence, event_id, time, nr)
         CROSS JOIN LATERAL (
               SELECT c.ctid
                 FROM sqlspec_event_queue AS c
                WHERE c.queue_id = hold.queue_id AND c.priority = hold.priority AND c.id = hold.id
                  AND c.lease_token = hold.fence AND c.event_id = hold.event_id AND c.state = 1
                LIMIT 1) AS held) AS hold
     WHERE e.ctid = hold.ctid AND e.lease_token = hold.fence AND e.state = 1
    RETURNING hold.nr
)
SELECT held.nr, (SELECT CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END) FROM held
