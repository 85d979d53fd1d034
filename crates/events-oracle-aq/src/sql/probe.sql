/* events.aq.probe */
SELECT q.name, q.queue_table, t.type, t.object_type, t.recipients, q.enqueue_enabled, q.dequeue_enabled, q.max_retries
  FROM user_queues q
  LEFT JOIN user_queue_tables t ON t.queue_table = q.queue_table
 WHERE q.name = :queue_name
