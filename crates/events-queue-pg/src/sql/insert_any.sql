-- As insert.sql, and beyond it: events with a delay, and ids that the caller chose, of which each
-- is stored once. Keys are taken in the order of ids, so that two publishers do not block each other.
-- Channels without a group are answered, and then nothing is stored; a transaction whose snapshot is
-- older than a registration is told its queue.
WITH event AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::bigint[], $5::json[], $6::json[], $7::bigint[], $8::boolean[])
        WITH ORDINALITY AS event (channel, event_id, priority, expires_in, metadata, payload, delay, keyed, nr)
), queue AS (
    SELECT q.queue_id, q.channel
      FROM (SELECT DISTINCT event.channel FROM event) AS wanted
      JOIN sqlspec_event_queue_queue AS q ON q.channel = wanted.channel
     UNION
    SELECT told.queue_id, told.channel FROM unnest($10::text[], $11::integer[]) AS told (channel, queue_id)
), missing AS (
    SELECT DISTINCT event.channel
      FROM event
     WHERE NOT EXISTS (SELECT FROM queue WHERE queue.channel = event.channel)
), key AS (
    INSERT INTO sqlspec_event_queue_key AS k (event_id, pending)
    SELECT event.event_id, (SELECT count(*) FROM queue WHERE queue.channel = event.channel)
      FROM event
     WHERE event.keyed
       AND NOT EXISTS (SELECT FROM missing)
       -- A repeat locks nothing: the verdicts of its event would wait for this transaction.
       AND NOT EXISTS (SELECT FROM sqlspec_event_queue_key AS live
                        WHERE live.event_id = event.event_id
                          AND (live.expires_at IS NULL OR live.expires_at > statement_timestamp()))
     ORDER BY event.event_id
        ON CONFLICT (event_id) DO UPDATE SET pending = excluded.pending, expires_at = NULL
     WHERE k.expires_at <= statement_timestamp()
    RETURNING event_id
), wanted AS (
    SELECT event.*, queue.queue_id
      FROM event
      JOIN queue ON queue.channel = event.channel
     WHERE NOT EXISTS (SELECT FROM missing)
       AND (NOT event.keyed OR EXISTS (SELECT FROM key WHERE key.event_id = event.event_id))
), delayed AS (
    INSERT INTO sqlspec_event_queue_delayed (queue_id, due_at, priority, expires_at, keyed, event_id, metadata, payload)
    SELECT queue_id, statement_timestamp() + delay * interval '1 microsecond', priority,
           statement_timestamp() + expires_in * interval '1 microsecond', keyed, event_id, metadata, payload
      FROM wanted
     WHERE delay > 0
     ORDER BY nr
    RETURNING queue_id, priority, due_at
), stored AS (
    INSERT INTO sqlspec_event_queue (queue_id, priority, expires_at, keyed, event_id, metadata, payload)
    SELECT queue_id, priority, statement_timestamp() + expires_in * interval '1 microsecond', keyed, event_id, metadata, payload
      FROM wanted
     WHERE delay = 0
       AND pg_current_xact_id() IS NOT NULL -- taken before the ids, see horizon.rs
     ORDER BY nr
    RETURNING queue_id, priority, id
), relaxed AS (
    SELECT CASE WHEN $9 THEN set_config('synchronous_commit', 'off', true) END AS setting,
           (SELECT count(*) FROM key) AS keys
)
SELECT stored.queue_id, stored.priority, min(stored.id), count(*), NULL::float8, relaxed.keys, relaxed.setting, NULL
  FROM stored, relaxed
 GROUP BY stored.queue_id, stored.priority, relaxed.keys, relaxed.setting
 UNION ALL
SELECT delayed.queue_id, delayed.priority, NULL, count(*),
       extract(epoch FROM min(delayed.due_at) - statement_timestamp())::float8, relaxed.keys, relaxed.setting, NULL
  FROM delayed, relaxed
 GROUP BY delayed.queue_id, delayed.priority, relaxed.keys, relaxed.setting
 UNION ALL
-- When every event was a repeat, or a channel is missing.
SELECT NULL, NULL, NULL, 0, NULL, relaxed.keys, relaxed.setting, missing.channel
  FROM relaxed
  LEFT JOIN missing ON true
