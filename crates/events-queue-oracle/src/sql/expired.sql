/* events.table.expired */
-- Events that nobody claimed in time.
SELECT id
  FROM sqlspec_event_queue
 WHERE expiry_queue = :queue_id AND expires_at <= :now
 ORDER BY expires_at
   FOR UPDATE SKIP LOCKED
