-- Dropping a table drops its indexes. Events, dead letters and registrations are lost.
DROP FUNCTION IF EXISTS sqlspec_event_queue_publish(text, json, json, integer, interval, interval, uuid);
DROP TABLE IF EXISTS sqlspec_event_queue_waiter;
DROP TABLE IF EXISTS sqlspec_event_queue_key;
DROP TABLE IF EXISTS sqlspec_event_queue_dead;
DROP TABLE IF EXISTS sqlspec_event_queue_done;
DROP TABLE IF EXISTS sqlspec_event_queue_delayed;
DROP TABLE IF EXISTS sqlspec_event_queue;
DROP TABLE IF EXISTS sqlspec_event_queue_queue;
