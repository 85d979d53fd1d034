-- Dead letters that come later get a higher id as long as this one is there.
SELECT coalesce(max(id), 0) FROM sqlspec_event_queue_dead
