/* events.table.stats */
-- Each count walks one status in one index.
SELECT q.channel, q.consumer_group,
       (SELECT COUNT(*) FROM sqlspec_event_queue e WHERE e.queue_id = q.queue_id AND e.status IN (0, 2)) AS ready,
       (SELECT COUNT(*) FROM sqlspec_event_queue e WHERE e.queue_id = q.queue_id AND e.status = 1) AS delayed,
       (SELECT COUNT(*) FROM sqlspec_event_queue e WHERE e.queue_id = q.queue_id AND e.status = 3) AS leased,
       (SELECT COUNT(*) FROM sqlspec_event_queue e WHERE e.queue_id = q.queue_id AND e.status = 4) AS acked,
       (SELECT COUNT(*) FROM sqlspec_event_queue_dead d WHERE d.queue_id = q.queue_id) AS dead,
       (SELECT MIN(e.available_at) FROM sqlspec_event_queue e WHERE e.queue_id = q.queue_id AND e.status = 0) AS oldest_at,
       SYS_EXTRACT_UTC(SYSTIMESTAMP) AS now_at
  FROM sqlspec_event_queue_queue q
 WHERE :channel IS NULL OR q.channel = :channel
 ORDER BY q.channel, q.consumer_group
