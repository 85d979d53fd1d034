DELETE FROM sqlspec_event_queue_dead AS d
 WHERE d.ctid = ANY (ARRAY(
       SELECT found.ctid
         FROM unnest($1::integer[], $2::bigint[]) AS wanted (queue_id, id)
        CROSS JOIN LATERAL (
              SELECT c.ctid
                FROM sqlspec_event_queue_dead AS c
               WHERE c.queue_id = wanted.queue_id AND c.id = wanted.id
               LIMIT 1) AS found))
