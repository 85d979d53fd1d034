/* events.table.queues_of */
-- The queues of a channel, one row with no queue when there is none, and the time: all events of
-- one publish have the same.
SELECT q.queue_id, SYS_EXTRACT_UTC(SYSTIMESTAMP) AS now_at
  FROM dual
  LEFT JOIN sqlspec_event_queue_queue q ON q.channel = :channel
