INSERT INTO sqlspec_event_queue (queue_id, event_id, payload)
SELECT $1, event.id::uuid, event.payload::json FROM unnest($2::text[], $3::text[]) AS event (id, payload)
