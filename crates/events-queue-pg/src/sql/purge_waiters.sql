-- Rows of processes that ended without taking them back.
DELETE FROM sqlspec_event_queue_waiter WHERE until < clock_timestamp() - interval '1 hour'
