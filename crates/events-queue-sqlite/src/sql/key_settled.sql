-- The key lives on for a while after the last group has settled the event.
UPDATE sqlspec_event_queue_key
   SET pending = pending - 1, expires_at = CASE WHEN pending <= 1 THEN ?2 END
 WHERE event_id = ?1
