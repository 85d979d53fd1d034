-- Fenced: only the holding that was given this token, also after its lease ended unclaimed. Rows
-- are found by key, then visited by ctid; the fence is checked again for a row that changes meanwhile.
WITH gone AS (
    DELETE FROM sqlspec_event_queue AS e
     USING
       (SELECT held.ctid, hold.fence, hold.nr
          FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[], $5::uuid[]) WITH ORDINALITY
               AS hold (queue_id, priority, id, fence, event_id, nr)
         CROSS JOIN LATERAL (
               SELECT c.ctid
                 FROM sqlspec_event_queue AS c
                WHERE c.queue_id = hold.queue_id AND c.priority = hold.priority AND c.id = hold.id
                  AND c.lease_token = hold.fence AND c.event_id = hold.event_id AND c.state IN (1, 2)
                LIMIT 1) AS held) AS hold
     WHERE e.ctid = hold.ctid AND e.lease_token = hold.fence AND e.state IN (1, 2)
    RETURNING hold.nr, e.event_id, e.keyed
), settled AS (
    UPDATE sqlspec_event_queue_key AS k
       SET pending = k.pending - gone.groups,
           expires_at = CASE WHEN k.pending <= gone.groups THEN statement_timestamp() + $6::bigint * interval '1 microsecond' END
      FROM (SELECT event_id, count(*)::integer AS groups FROM gone WHERE keyed GROUP BY event_id) AS gone
     WHERE k.event_id = gone.event_id
)
SELECT gone.nr, (SELECT CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END) FROM gone
