-- One migrator at a time for each database, the queue's included; held to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('event_channels_migrations', 0))
