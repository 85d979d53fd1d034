-- Under the lock of register_lock.sql.
WITH new AS (
    INSERT INTO sqlspec_event_queue_queue (channel, consumer_group)
    VALUES ($1, $2)
        ON CONFLICT (channel, consumer_group) DO NOTHING
    RETURNING queue_id
)
SELECT queue_id, true FROM new
 UNION ALL
SELECT queue_id, false FROM sqlspec_event_queue_queue WHERE channel = $1 AND consumer_group = $2
