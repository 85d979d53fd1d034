/* events.aq.census */
-- What a queue holds, by correlation and state, and what the server has moved to its exception queue.
-- A message that a session holds still counts as ready.
SELECT m.corr_id, m.queue, m.msg_state, COUNT(*) AS messages
  FROM "AQ$SQLSPEC_EVENTS_QUEUE_QT" m
 WHERE m.queue IN (:queue_name, :exception_queue)
 GROUP BY m.corr_id, m.queue, m.msg_state
