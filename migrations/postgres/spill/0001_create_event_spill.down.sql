DROP TABLE IF EXISTS sqlspec_event_queue;
