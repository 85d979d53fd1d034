-- One event whose last lease ended, and no other with it.
WITH relaxed AS (
    SELECT CASE WHEN $6 THEN set_config('synchronous_commit', 'off', true) END
)
UPDATE sqlspec_event_queue AS e
   SET state = 1, attempts = e.attempts + 1,
       lease_token = greatest(e.lease_token + 1, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint),
       lease_expires_at = statement_timestamp() + $4::bigint * interval '1 microsecond'
  FROM relaxed
 WHERE e.ctid = (SELECT c.ctid
                   FROM sqlspec_event_queue AS c
                  WHERE c.queue_id = $1 AND c.priority = $2 AND c.id = $3
                    AND (c.state = 2 OR c.state = 1 AND c.lease_expires_at <= statement_timestamp())
                    AND c.attempts < $5
                    AND (c.expires_at IS NULL OR c.expires_at > statement_timestamp())
                    FOR UPDATE SKIP LOCKED)
RETURNING e.id, e.event_id, e.priority, e.attempts, e.lease_token, e.keyed, e.available_at, e.created_at,
          e.expires_at, e.lease_expires_at, e.metadata, e.payload
