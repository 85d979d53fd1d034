/* events.aq.subscribers_other_schema */
SELECT s.consumer_name
  FROM all_queue_subscribers s
 WHERE s.owner = :owner AND s.queue_name = :queue_name
