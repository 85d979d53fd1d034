-- The snapshot keeps the server from ever removing what is deleted meanwhile.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM sqlspec_event_queue
