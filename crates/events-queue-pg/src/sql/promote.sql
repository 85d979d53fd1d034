-- Delayed events whose time has come. They get new ids, behind what is ready already.
WITH relaxed AS (
    SELECT CASE WHEN $2 THEN set_config('synchronous_commit', 'off', true) END
), due AS (
    DELETE FROM sqlspec_event_queue_delayed AS d
     USING relaxed
     WHERE d.ctid = ANY (ARRAY(
           SELECT c.ctid
             FROM sqlspec_event_queue_delayed AS c
            WHERE c.queue_id = $1 AND c.due_at <= statement_timestamp()
            ORDER BY c.queue_id, c.due_at, c.id
            LIMIT 500
              FOR UPDATE SKIP LOCKED))
    RETURNING d.*
), ready AS (
    INSERT INTO sqlspec_event_queue
           (queue_id, priority, available_at, created_at, expires_at, lease_token, attempts, requeues, keyed,
            event_id, last_error, metadata, payload)
    SELECT queue_id, priority, due_at, created_at, expires_at, lease_token, attempts, requeues, keyed,
           event_id, last_error, metadata, payload
      FROM due
     ORDER BY due_at, due.id
    RETURNING id
)
SELECT count(*), min(id) FROM ready
