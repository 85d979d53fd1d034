/* events.table.key_insert */
-- Fails with ORA-00001 for a repeat, after waiting for whoever inserts the same id at this moment.
INSERT INTO sqlspec_event_queue_key (event_id, pending) VALUES (:event_id, :pending)
