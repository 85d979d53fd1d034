-- What a queue holds beside what can be claimed: each column is one seek in one index.
SELECT q.paused,
       extract(epoch FROM (SELECT min(d.due_at) FROM sqlspec_event_queue_delayed AS d WHERE d.queue_id = q.queue_id)
                          - statement_timestamp())::float8,
       extract(epoch FROM least(
           (SELECT min(e.expires_at) FROM sqlspec_event_queue AS e WHERE e.queue_id = q.queue_id AND e.expires_at IS NOT NULL),
           (SELECT min(d.expires_at) FROM sqlspec_event_queue_delayed AS d WHERE d.queue_id = q.queue_id AND d.expires_at IS NOT NULL))
                          - statement_timestamp())::float8
  FROM sqlspec_event_queue_queue AS q
 WHERE q.queue_id = $1
