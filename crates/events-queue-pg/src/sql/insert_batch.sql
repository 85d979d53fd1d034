-- As insert.sql, for events of one channel: its groups are looked up once, and the answer is one
-- row for each group and priority instead of one for each event.
WITH stored AS (
    INSERT INTO sqlspec_event_queue (queue_id, priority, expires_at, event_id, metadata, payload)
    SELECT queue.queue_id, event.priority, statement_timestamp() + event.expires_in * interval '1 microsecond',
           event.event_id, event.metadata, event.payload
      FROM unnest($2::uuid[], $3::integer[], $4::bigint[], $5::json[], $6::json[])
           AS event (event_id, priority, expires_in, metadata, payload)
      LEFT JOIN sqlspec_event_queue_queue AS queue ON queue.channel = $1::text
     WHERE pg_current_xact_id() IS NOT NULL -- taken before the ids, see horizon.rs
    RETURNING queue_id, priority, id
)
SELECT stored.queue_id, stored.priority, min(stored.id),
       (SELECT CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END)
  FROM stored
 GROUP BY stored.queue_id, stored.priority
