-- Each event may have died in several groups. The offset keeps the planner from reading all dead
-- letters of the channel instead.
SELECT d.queue_id, d.id
  FROM unnest($2::uuid[]) AS wanted (event_id)
 CROSS JOIN LATERAL (
       SELECT one.id, one.queue_id
         FROM sqlspec_event_queue_dead AS one
        WHERE one.event_id = wanted.event_id
       OFFSET 0) AS d
 WHERE EXISTS (SELECT FROM sqlspec_event_queue_queue AS q WHERE q.queue_id = d.queue_id AND q.channel = $1)
