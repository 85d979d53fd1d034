SELECT sqlite_version() FROM sqlspec_event_queue_queue LIMIT 1
