/* events.aq.subscribers */
SELECT s.consumer_name
  FROM user_queue_subscribers s
 WHERE s.queue_name = :queue_name
