-- The whole claim: choose, lease, count the attempt, raise the fence, return. The pieces are ranges
-- of idx_claim in the order of delivery: those after each priority's frontier, and single events
-- before it. Each is read in the order of the index, so nothing is sorted, and reading ends with
-- the last event that is wanted. The fence is the time of the claim, so that none is given out twice even
-- if a crash undoes claims that were not flushed. The order of RETURNING is not specified, so the caller sorts.
WITH claimed AS (
    UPDATE sqlspec_event_queue AS e
       SET state = 1, attempts = e.attempts + 1,
           lease_token = greatest(e.lease_token + 1, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint),
           lease_expires_at = statement_timestamp() + $7::bigint * interval '1 microsecond'
     WHERE e.ctid = ANY (ARRAY(
           SELECT chosen.ctid
             FROM unnest($2::integer[], $3::bigint[], $4::integer[], $5::bigint[]) AS piece (lowest, after, highest, upto)
            CROSS JOIN LATERAL (
                  SELECT c.ctid
                    FROM sqlspec_event_queue AS c
                   WHERE c.queue_id = $1
                     AND c.priority >= piece.lowest
                     AND c.priority <= piece.highest
                     AND (c.priority, c.id) > (piece.lowest, piece.after)
                     AND c.id <= piece.upto
                     AND c.state = 0
                     AND (c.expires_at IS NULL OR c.expires_at > statement_timestamp())
                   ORDER BY c.priority, c.id
                   LIMIT $6
                     FOR UPDATE SKIP LOCKED) AS chosen
            LIMIT $6))
    RETURNING e.id, e.event_id, e.priority, e.attempts, e.lease_token, e.keyed, e.available_at, e.created_at,
              e.expires_at, e.lease_expires_at, e.metadata, e.payload
)
SELECT pg_snapshot_xmin(now.snapshot)::text::bigint, now.own, now.last_id, claimed.*
  FROM (SELECT pg_current_snapshot() AS snapshot,
               CASE WHEN $9 THEN pg_current_xact_id()::text::bigint END AS own,
               (SELECT last_value FROM sqlspec_event_queue_id_seq) AS last_id,
               CASE WHEN $8 THEN set_config('synchronous_commit', 'off', true) END AS relaxed) AS now
  LEFT JOIN claimed ON true
