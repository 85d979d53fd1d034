-- One notification. It takes the cluster-wide lock of NOTIFY at commit; a transaction that does
-- nothing else holds it for microseconds, because it writes nothing that must be flushed.
SELECT pg_notify($1, $2)
