-- Counts what is stored for each queue: ready, delayed, leased, dead, acked, and the age of the
-- oldest ready event. Each table is read once, however many queues there are.
WITH done AS MATERIALIZED (
    SELECT queue_id, count(*) AS acked FROM sqlspec_event_queue_done GROUP BY queue_id
)
SELECT event.ready,
       (SELECT count(*) FROM sqlspec_event_queue_delayed AS d WHERE d.queue_id = q.queue_id),
       event.leased,
       (SELECT count(*) FROM sqlspec_event_queue_dead AS d WHERE d.queue_id = q.queue_id),
       coalesce((SELECT done.acked FROM done WHERE done.queue_id = q.queue_id), 0),
       extract(epoch FROM statement_timestamp() - event.oldest)::float8,
       q.channel, q.consumer_group
  FROM sqlspec_event_queue_queue AS q
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE e.state <> 1 OR e.lease_expires_at <= statement_timestamp()) AS ready,
              count(*) FILTER (WHERE e.state = 1 AND e.lease_expires_at > statement_timestamp()) AS leased,
              min(e.available_at) FILTER (WHERE e.state = 0) AS oldest
         FROM sqlspec_event_queue AS e
        WHERE e.queue_id = q.queue_id) AS event
 WHERE $1::text IS NULL OR q.channel = $1
 ORDER BY q.channel, q.consumer_group
