DELETE FROM sqlspec_event_queue_dead AS d
 USING sqlspec_event_queue_queue AS q
 WHERE q.queue_id = d.queue_id AND q.channel = $1 AND ($2::uuid[] IS NULL OR d.event_id = ANY ($2))
