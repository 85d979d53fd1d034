-- One registration at a time for each channel: who publishes registers the default group only where
-- there is no other, and a transaction sees none that has not ended. The next statement of this
-- transaction sees everything that was registered before the lock was given, and waits for other
-- locks as long as $3 says; zero is as long as a statement may take.
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $2, true)),
     locked AS MATERIALIZED (
         SELECT pg_advisory_xact_lock(hashtextextended($1, 'sqlspec_event_queue'::regclass::oid::bigint))
           FROM patience)
SELECT set_config('lock_timeout', $3, true) FROM locked
