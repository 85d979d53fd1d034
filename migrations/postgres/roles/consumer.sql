-- Who consumes: claims, settles, cleans up, and handles dead letters. It may store events as well,
-- because delayed and dead ones go back into the queue; it cannot change, empty or drop a table.
-- Run as the owner of the tables, once they exist and the role does: CREATE ROLE events_consumer NOLOGIN.
GRANT SELECT ON event_channels_migrations TO events_consumer;
-- A consumer registers its group.
GRANT SELECT, INSERT ON sqlspec_event_queue_queue TO events_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sqlspec_event_queue TO events_consumer;
GRANT SELECT ON sqlspec_event_queue_id_seq TO events_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sqlspec_event_queue_delayed TO events_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sqlspec_event_queue_done TO events_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sqlspec_event_queue_dead TO events_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sqlspec_event_queue_key TO events_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sqlspec_event_queue_waiter TO events_consumer;
