DELETE FROM sqlspec_event_queue_done
 WHERE ctid = ANY (ARRAY(
       SELECT ctid
         FROM sqlspec_event_queue_done
        WHERE acked_at <= statement_timestamp() - $1::bigint * interval '1 microsecond'
        ORDER BY acked_at
        LIMIT $2
          FOR UPDATE SKIP LOCKED))
