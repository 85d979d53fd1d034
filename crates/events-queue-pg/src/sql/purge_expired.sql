DELETE FROM sqlspec_event_queue_dead
 WHERE ctid = ANY (ARRAY(
       SELECT ctid
         FROM sqlspec_event_queue_dead
        WHERE reason = 'expired' AND died_at <= statement_timestamp() - $1::bigint * interval '1 microsecond'
        ORDER BY died_at
        LIMIT $2
          FOR UPDATE SKIP LOCKED))
