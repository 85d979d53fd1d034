-- One notification for each queue that another process waits for; the text is a hint. It runs
-- after the commit of what it tells, so it sees whoever waited before that. NOTIFY fails the
-- commit when the server's queue of notifications is full, so it stops long before.
SELECT count(pg_notify($1, wake.queue_id || ':' || coalesce(wake.id::text, '')))
  FROM unnest($2::integer[], $3::bigint[]) AS wake (queue_id, id)
 WHERE pg_notification_queue_usage() < 0.5
   AND EXISTS (
       SELECT FROM sqlspec_event_queue_waiter AS w
        WHERE w.queue_id = wake.queue_id AND w.consumer <> $4::uuid AND w.until > clock_timestamp())
