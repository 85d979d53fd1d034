DELETE FROM sqlspec_event_queue_key
 WHERE ctid = ANY (ARRAY(
       SELECT ctid
         FROM sqlspec_event_queue_key
        WHERE expires_at IS NOT NULL AND expires_at <= statement_timestamp() - $1::bigint * interval '1 microsecond'
        ORDER BY expires_at
        LIMIT $2
          FOR UPDATE SKIP LOCKED))
