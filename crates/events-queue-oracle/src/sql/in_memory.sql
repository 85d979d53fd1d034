/* events.table.in_memory */
-- Scalar columns go into the column store; payloads stay out of it.
ALTER TABLE sqlspec_event_queue INMEMORY PRIORITY HIGH
