-- A consumer of this process waits. The table is not logged, so this flushes nothing.
INSERT INTO sqlspec_event_queue_waiter (queue_id, consumer, until)
VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
    ON CONFLICT (queue_id, consumer) DO UPDATE SET until = excluded.until
