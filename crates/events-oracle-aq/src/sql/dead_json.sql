/* events.aq.dead_json */
-- Dead letters of a channel: those that a consumer made, and those that the server put away. The
-- newest first; the caller fetches as many as it wants.
SELECT m.msg_id, m.queue, m.retry_count, m.msg_priority, JSON_SERIALIZE(m.user_data RETURNING CLOB) AS body
  FROM "AQ$SQLSPEC_EVENTS_QUEUE_QT" m
 WHERE (m.queue = :queue_name AND m.corr_id = :dead)
    OR (m.queue = :exception_queue AND m.corr_id = :channel)
 ORDER BY m.enq_time DESC, m.msg_id DESC
