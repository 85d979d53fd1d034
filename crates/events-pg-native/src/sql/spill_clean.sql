-- A small batch of what is older than $1 seconds. Rows that another process removes are left to it.
DELETE FROM sqlspec_event_queue
WHERE event_id = ANY (ARRAY(
    SELECT event_id
    FROM sqlspec_event_queue
    WHERE stored_at < statement_timestamp() - make_interval(secs => $1)
    ORDER BY stored_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
))
