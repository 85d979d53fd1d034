/* events.aq.probe_other_schema */
SELECT q.name, q.queue_table, t.type, t.object_type, t.recipients, q.enqueue_enabled, q.dequeue_enabled, q.max_retries
  FROM all_queues q
  LEFT JOIN all_queue_tables t ON t.queue_table = q.queue_table AND t.owner = q.owner
 WHERE q.owner = :owner AND q.name = :queue_name
