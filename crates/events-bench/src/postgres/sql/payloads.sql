SELECT payload::text FROM sqlspec_event_queue UNION ALL SELECT payload::text FROM sqlspec_event_queue_done
