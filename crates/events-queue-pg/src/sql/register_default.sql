-- The default group of a channel that has none; answers all groups of the channel. Under the lock
-- of register_lock.sql.
WITH new AS (
    INSERT INTO sqlspec_event_queue_queue (channel)
    SELECT $1
     WHERE NOT EXISTS (SELECT FROM sqlspec_event_queue_queue AS q WHERE q.channel = $1)
        ON CONFLICT (channel, consumer_group) DO NOTHING
    RETURNING queue_id
)
SELECT queue_id FROM new
 UNION ALL
SELECT q.queue_id FROM sqlspec_event_queue_queue AS q WHERE q.channel = $1
