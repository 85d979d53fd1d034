/* events.table.dead_hold */
-- Locks a dead letter that goes back into its queue; whoever comes second finds none.
UPDATE sqlspec_event_queue_dead SET requeues = requeues + 1
 WHERE id = :id
