-- Dropping a table drops its indexes. Events, dead letters and registrations are lost.
DROP TABLE IF EXISTS sqlspec_event_queue_key;
DROP TABLE IF EXISTS sqlspec_event_queue_dead;
DROP TABLE IF EXISTS sqlspec_event_queue;
DROP TABLE IF EXISTS sqlspec_event_queue_queue;
