-- DO UPDATE, so that the row of a transaction that registers it at the same time is waited for.
INSERT INTO sqlspec_event_queue_queue AS q (channel, consumer_group)
VALUES ($1, $2)
    ON CONFLICT (channel, consumer_group) DO UPDATE SET channel = excluded.channel
RETURNING q.queue_id, q.xmax = 0
