DELETE FROM sqlspec_event_queue_dead WHERE id = ?1
