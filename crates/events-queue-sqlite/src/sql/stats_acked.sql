SELECT queue_id, count(*) FROM sqlspec_event_queue WHERE status = 14 GROUP BY queue_id
