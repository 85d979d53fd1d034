-- The channel on which consumers of this table are woken, as the SQL function that publishes has it.
SELECT '_ec_' || 'sqlspec_event_queue'::regclass::oid
