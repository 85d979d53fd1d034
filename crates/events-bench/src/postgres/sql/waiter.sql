-- Somebody waits, and is told of every publish.
INSERT INTO sqlspec_event_queue_waiter SELECT 1, gen_random_uuid(), now() + interval '1 day';
DO $$
BEGIN
    EXECUTE 'LISTEN ' || (
        SELECT '_ec_' || left(encode(sha256(convert_to(n.nspname || '.' || c.relname, 'UTF8')), 'hex'), 24)
          FROM pg_class AS c
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.oid = 'sqlspec_event_queue'::regclass);
END
$$
