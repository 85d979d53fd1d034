/* events.aq.dead_of_groups_raw */
-- Dead letters of a channel and all of its groups: those that a consumer made, and those that the
-- server put away. The newest first; the caller fetches as many as it wants.
SELECT m.msg_id, m.queue, m.retry_count, m.msg_priority, m.user_data AS body, m.corr_id
  FROM "AQ$SQLSPEC_EVENTS_QUEUE_QT" m
 WHERE (m.queue = :queue_name AND SUBSTR(m.corr_id, 1, LENGTH(:dead)) = :dead AND m.msg_state <> 'PROCESSED')
    OR (m.queue = :exception_queue AND (m.corr_id = :channel OR SUBSTR(m.corr_id, 1, LENGTH(:own)) = :own))
 ORDER BY m.enq_time DESC, m.msg_id DESC
