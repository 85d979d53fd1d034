-- Events of another program that no claim can take, because a number of theirs cannot be raised;
-- among the first of a queue, where a claim meets them.
SELECT id FROM sqlspec_event_queue
 WHERE id IN (SELECT id FROM (SELECT id FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 10
                               ORDER BY priority DESC, id LIMIT ?2)
              UNION ALL
              SELECT id FROM (SELECT id FROM sqlspec_event_queue WHERE queue_id = ?1 AND status = 12
                               ORDER BY priority DESC, id LIMIT 1))
   AND 9223372036854775807 IN (attempts, lease_token)
