DELETE FROM sqlspec_event_queue WHERE id = ?1 RETURNING event_id, keyed
