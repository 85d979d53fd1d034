-- This process has something to do, or ends: NULL means all queues.
DELETE FROM sqlspec_event_queue_waiter WHERE consumer = $1 AND ($2::integer IS NULL OR queue_id = $2)
