-- The first event of each priority level; one seek for each level.
WITH RECURSIVE level (priority) AS (
    SELECT (SELECT max(priority) FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10)
    UNION ALL
    SELECT (SELECT max(e.priority) FROM sqlspec_event_queue AS e
             WHERE e.queue_id = ?1 AND e.status = 10 AND e.priority < level.priority)
      FROM level
     WHERE level.priority IS NOT NULL
)
SELECT min((SELECT e.available_at FROM sqlspec_event_queue AS e
             WHERE e.queue_id = ?1 AND e.status = 10 AND e.priority = level.priority
             ORDER BY e.id LIMIT 1))
  FROM level
 WHERE level.priority IS NOT NULL
