-- Somebody waits, and is told of every publish.
INSERT INTO sqlspec_event_queue_waiter SELECT 1, gen_random_uuid(), now() + interval '1 day';
DO $$
BEGIN
    EXECUTE 'LISTEN _ec_' || 'sqlspec_event_queue'::regclass::oid;
END
$$
