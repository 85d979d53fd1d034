-- This process ends.
DELETE FROM sqlspec_event_queue_waiter WHERE consumer = $1
