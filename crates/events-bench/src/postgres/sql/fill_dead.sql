-- Index entries of rows that are gone and were not cleaned up.
ALTER TABLE sqlspec_event_queue SET (autovacuum_enabled = off);
INSERT INTO sqlspec_event_queue (queue_id, event_id, payload)
SELECT 1, gen_random_uuid(), '{}' FROM generate_series(1, $n);
DELETE FROM sqlspec_event_queue
