-- Fills the tables: {rows} rows in each state, most of them in queue 1, and one queue for each 100.
-- {now} is now. Ready rows stand before suspect ones, so that both kinds of claim have something.
CREATE TEMP TABLE numbers AS
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n;

INSERT INTO sqlspec_event_queue_queue (queue_id, channel, created_at)
SELECT i, 'channel_' || i, {now} FROM numbers WHERE i <= max(2, {rows} / 100);

INSERT INTO sqlspec_event_queue
    (queue_id, event_id, status, priority, attempts, lease_token, keyed, available_at,
     lease_expires_at, expires_at, acked_at, created_at, payload)
SELECT CASE WHEN i % 20 = 0 THEN 1 + i % max(2, {rows} / 100) ELSE 1 END,
       randomblob(16),
       s.status,
       CASE s.status WHEN 10 THEN 1 + i % 3 ELSE 0 END,
       (s.status - 10) / 2,
       (s.status - 10) / 2,
       0,
       CASE s.status WHEN 11 THEN {now} + 3600000000 + i ELSE {now} - i END,
       CASE s.status WHEN 13 THEN {now} + 60000000 + i ELSE 253402300799999999 END,
       CASE WHEN i % 7 = 0 THEN {now} + 7200000000 + i END,
       CASE s.status WHEN 14 THEN {now} - i ELSE 253402300799999999 END,
       {now} - i,
       '{"n": 1}'
  FROM numbers, (SELECT 10 AS status UNION ALL SELECT 11 UNION ALL SELECT 12 UNION ALL SELECT 13 UNION ALL SELECT 14) AS s;

INSERT INTO sqlspec_event_queue_dead
    (queue_id, event_id, priority, attempts, lease_token, keyed, requeues, reason, died_at, created_at, payload)
SELECT 1, randomblob(16), 0, 3, 3, 0, 0, CASE WHEN i % 2 = 0 THEN 'expired' ELSE 'rejected' END, {now} - i, {now} - i, '1'
  FROM numbers;

INSERT INTO sqlspec_event_queue_key (event_id, pending, expires_at)
SELECT randomblob(16), i % 2, CASE WHEN i % 2 = 0 THEN {now} + 60000000 + i END FROM numbers;

DROP TABLE numbers;
