-- A notification to ourselves, and how full the server's queue of notifications is.
SELECT pg_notification_queue_usage(), pg_notify($1, $2)
