-- Many small rows at once, all of one state; event ids are the row numbers.
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?1)
INSERT INTO sqlspec_event_queue
    (queue_id, event_id, status, lease_token, attempts, available_at, lease_expires_at, acked_at, created_at, payload)
SELECT ?2, unhex(printf('%032x', n)), ?3, 1, 1, ?4, iif(?3 = 13, ?4, 253402300799999999), iif(?3 = 14, ?5, 253402300799999999), ?5, '{"i":0,"t":0}'
  FROM number
