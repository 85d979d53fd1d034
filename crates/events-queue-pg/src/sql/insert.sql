-- One row for each group that is registered for the channel. For an event of a channel that has
-- none the queue is NULL, which the table refuses: then nothing is stored. Ids are given in the order
-- of the events, however a planner with other settings than ours joins them.
INSERT INTO sqlspec_event_queue (queue_id, priority, expires_at, event_id, metadata, payload)
SELECT queue.queue_id, event.priority, statement_timestamp() + event.expires_in * interval '1 microsecond',
       event.event_id, event.metadata, event.payload
  FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::bigint[], $5::json[], $6::json[]) WITH ORDINALITY
       AS event (channel, event_id, priority, expires_in, metadata, payload, nr)
  LEFT JOIN sqlspec_event_queue_queue AS queue ON queue.channel = event.channel
 WHERE pg_current_xact_id() IS NOT NULL -- taken before the ids, see horizon.rs
 ORDER BY event.nr
RETURNING queue_id, priority, id, CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END
