-- As insert.sql, for one event. Nothing is stored, and nothing answered, if the channel has no group.
INSERT INTO sqlspec_event_queue (queue_id, priority, expires_at, event_id, metadata, payload)
SELECT queue.queue_id, $3::integer, statement_timestamp() + $4::bigint * interval '1 microsecond',
       $2::uuid, $5::json, $6::json
  FROM sqlspec_event_queue_queue AS queue
 WHERE queue.channel = $1::text
   AND pg_current_xact_id() IS NOT NULL -- taken before the ids, see horizon.rs
RETURNING queue_id, priority, id, CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END
