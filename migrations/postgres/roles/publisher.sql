-- Who publishes: stores events, and sees no payload, no metadata and no verdict. Run as the owner of
-- the tables, once they exist and the role does: CREATE ROLE events_publisher NOLOGIN.
GRANT SELECT ON event_channels_migrations TO events_publisher;
-- The first publish on a channel registers its default group.
GRANT SELECT, INSERT ON sqlspec_event_queue_queue TO events_publisher;
GRANT INSERT, SELECT (queue_id, priority, id) ON sqlspec_event_queue TO events_publisher;
GRANT INSERT, SELECT (queue_id, priority, due_at) ON sqlspec_event_queue_delayed TO events_publisher;
-- Ids that the publisher chooses.
GRANT SELECT, INSERT, UPDATE (pending, expires_at) ON sqlspec_event_queue_key TO events_publisher;
-- To wake nobody where nobody waits.
GRANT SELECT ON sqlspec_event_queue_waiter TO events_publisher;
