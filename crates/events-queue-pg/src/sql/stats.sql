-- Counts what is stored for one queue: ready, delayed, leased, dead, acked, and the age of the oldest ready event.
SELECT count(*) FILTER (WHERE e.state <> 1 OR e.lease_expires_at <= statement_timestamp()),
       (SELECT count(*) FROM sqlspec_event_queue_delayed AS d WHERE d.queue_id = $1),
       count(*) FILTER (WHERE e.state = 1 AND e.lease_expires_at > statement_timestamp()),
       (SELECT count(*) FROM sqlspec_event_queue_dead AS d WHERE d.queue_id = $1),
       (SELECT count(*) FROM sqlspec_event_queue_done AS d WHERE d.queue_id = $1),
       extract(epoch FROM statement_timestamp() - min(e.available_at) FILTER (WHERE e.state = 0))::float8
  FROM sqlspec_event_queue AS e
 WHERE e.queue_id = $1
