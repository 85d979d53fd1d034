INSERT INTO sqlspec_event_queue (queue_id, event_id, payload) VALUES ($1, $2::text::uuid, $3::text::json)
