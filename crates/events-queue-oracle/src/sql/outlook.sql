/* events.table.outlook */
-- What a queue holds that a claim may have to act on; each column is one seek in one index.
SELECT SYS_EXTRACT_UTC(SYSTIMESTAMP) AS now_at,
       (SELECT MIN(due_at) FROM sqlspec_event_queue WHERE queue_id = :queue_id AND status = 1) AS delayed_at,
       (SELECT MIN(due_at) FROM sqlspec_event_queue WHERE queue_id = :queue_id AND status = 3) AS lease_end_at,
       (SELECT MIN(expires_at) FROM sqlspec_event_queue WHERE expiry_queue = :queue_id) AS expiry_at,
       (SELECT MIN(priority) FROM sqlspec_event_queue WHERE queue_id = :queue_id AND status = 0) AS ready,
       (SELECT MIN(priority) FROM sqlspec_event_queue WHERE queue_id = :queue_id AND status = 2) AS suspect,
       (SELECT paused FROM sqlspec_event_queue_queue WHERE queue_id = :queue_id) AS paused
  FROM dual
