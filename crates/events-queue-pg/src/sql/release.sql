-- Fenced: only the holding that was given this token, also after its lease ended unclaimed. Rows
-- are found by key, then visited by ctid; the fence is checked again for a row that changes meanwhile.
-- A suspect stays one, so a raised fence is what tells that nobody holds it any more.
WITH held AS (
    UPDATE sqlspec_event_queue AS e
       SET state = hold.state, attempts = greatest(e.attempts - 1, 0), lease_expires_at = NULL,
           lease_token = e.lease_token + CASE WHEN hold.state = 2 THEN 1 ELSE 0 END
      FROM
       (SELECT held.ctid, hold.fence, hold.nr, hold.state
          FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[], $5::uuid[], $6::smallint[]) WITH ORDINALITY
               AS hold (queue_id, priority, id, fence, event_id, state, nr)
         CROSS JOIN LATERAL (
               SELECT c.ctid
                 FROM sqlspec_event_queue AS c
                WHERE c.queue_id = hold.queue_id AND c.priority = hold.priority AND c.id = hold.id
                  AND c.lease_token = hold.fence AND c.event_id = hold.event_id AND c.state IN (1, 2)
                LIMIT 1) AS held) AS hold
     WHERE e.ctid = hold.ctid AND e.lease_token = hold.fence AND e.state IN (1, 2)
    RETURNING hold.nr
)
SELECT held.nr, (SELECT CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END) FROM held
