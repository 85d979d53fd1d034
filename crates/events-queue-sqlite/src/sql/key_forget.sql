-- A key whose time is over does not stop a publish.
DELETE FROM sqlspec_event_queue_key WHERE event_id = ?1 AND expires_at <= ?2
