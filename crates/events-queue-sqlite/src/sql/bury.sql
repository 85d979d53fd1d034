-- Numbers of a foreign writer are brought into range, so that the event can be put back.
INSERT INTO sqlspec_event_queue_dead
    (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, died_at, created_at, last_error, metadata, payload)
SELECT queue_id, event_id, min(max(priority, -32768), 32767), min(max(attempts, 0), 4294967295),
       min(lease_token, 4611686018427387904), keyed, min(requeues, 4294967295), ?2, ?3, created_at, coalesce(?4, last_error),
       metadata, payload
  FROM sqlspec_event_queue
 WHERE id = ?1
