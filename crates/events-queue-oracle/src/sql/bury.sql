/* events.table.bury */
-- Copies a row to the dead letters; this session changed it and so has its lock. An id of another
-- program that is too short is filled up, so that it can be named, and numbers are brought into
-- range, so that it can be put back.
INSERT INTO sqlspec_event_queue_dead
       (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, created_at, last_error, metadata, payload)
SELECT queue_id, HEXTORAW(RPAD(RAWTOHEX(event_id), 32, '0')), LEAST(GREATEST(priority, -32767), 32768),
       LEAST(GREATEST(attempts, 0), 4294967295), LEAST(lease_token, 4999999999), keyed, requeues, :reason,
       created_at, COALESCE(:last_error, last_error), metadata, payload
  FROM sqlspec_event_queue
 WHERE id = :id
