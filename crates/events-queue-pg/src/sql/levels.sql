-- The first priority with an event in each range, its first id, and the last id given out; ranges between known priorities are empty as a rule.
SELECT found.priority, found.id, (SELECT last_value FROM sqlspec_event_queue_id_seq)
  FROM unnest($2::integer[], $3::integer[]) AS gap (lowest, highest)
 CROSS JOIN LATERAL (
       SELECT e.priority, e.id
         FROM sqlspec_event_queue AS e
        WHERE e.queue_id = $1 AND e.priority >= gap.lowest AND e.priority <= gap.highest
        ORDER BY e.queue_id, e.priority, e.id
        LIMIT 1) AS found
