/* events.table.insert */
INSERT INTO sqlspec_event_queue
       (queue_id, event_id, status, priority, keyed, available_at, due_at, expires_at, created_at, metadata, payload)
VALUES (:queue_id, :event_id, :status, :priority, :keyed,
        :now + NUMTODSINTERVAL(:delay, 'SECOND'),
        CASE WHEN :status = 1 THEN :now + NUMTODSINTERVAL(:delay, 'SECOND') END,
        :now + NUMTODSINTERVAL(:expires_in, 'SECOND'),
        :now, :metadata, :payload)
