-- The channel on which consumers of this table are woken.
SELECT '_ec_' || left(encode(sha256(convert_to(n.nspname || '.' || c.relname, 'UTF8')), 'hex'), 24)
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = 'sqlspec_event_queue'::regclass
