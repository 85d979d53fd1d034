/* events.aq.census_of_groups */
-- What a queue for multiple consumers holds for each of them, by correlation and state, and what the
-- server has moved to its exception queue. A message that a session holds still counts as ready.
SELECT m.corr_id, m.queue, m.msg_state, COUNT(*) AS messages, m.consumer_name
  FROM "AQ$SQLSPEC_EVENTS_QUEUE_QT" m
 WHERE m.queue IN (:queue_name, :exception_queue)
 GROUP BY m.corr_id, m.queue, m.msg_state, m.consumer_name
