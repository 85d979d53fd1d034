UPDATE sqlspec_event_queue AS e
   SET state = 1, attempts = e.attempts + 1, lease_token = e.lease_token + 1, lease_expires_at = now() + interval '30 s'
 WHERE e.ctid = ANY (ARRAY(
       SELECT c.ctid FROM sqlspec_event_queue AS c
        WHERE c.queue_id = $1 AND c.priority = 0 AND c.id > $2 AND c.state = 0
        ORDER BY c.id
        LIMIT $3
          FOR UPDATE SKIP LOCKED))
RETURNING e.id, e.payload::text
