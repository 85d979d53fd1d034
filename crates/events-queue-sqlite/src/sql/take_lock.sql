-- Changes nothing: has a transaction of the caller's wait for the write lock before its first look.
-- One that looks first cannot write any more when somebody else has committed meanwhile.
UPDATE sqlspec_event_queue_queue SET paused = paused WHERE queue_id IS NULL
