-- What is left in a window of ids that claims have passed: events that came back, leases that have
-- ended, for the first or the last time, and when the next lease ends.
SELECT min(seen.id),
       extract(epoch FROM min(seen.lease_expires_at) FILTER (WHERE NOT seen.ended) - statement_timestamp())::float8,
       array_agg(seen.id) FILTER (WHERE seen.state = 0),
       array_agg(seen.id) FILTER (WHERE seen.ended AND seen.attempts < $5),
       array_agg(seen.id) FILTER (WHERE seen.ended AND seen.attempts >= $5)
  FROM (SELECT e.id, e.state, e.attempts, e.lease_expires_at,
               e.state = 2 OR e.state = 1 AND e.lease_expires_at <= statement_timestamp() AS ended
          FROM sqlspec_event_queue AS e
         WHERE e.queue_id = $1 AND e.priority = $2 AND e.id > $3 AND e.id <= $4
         ORDER BY e.priority, e.id) AS seen
