/* events.table.insert */
INSERT INTO sqlspec_event_queue
       (queue_id, event_id, status, priority, keyed, available_at, due_at, expires_at, metadata, payload)
VALUES (:queue_id, :event_id, :status, :priority, :keyed,
        SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:delay, 'SECOND'),
        CASE WHEN :status = 1 THEN SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:delay, 'SECOND') END,
        SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(:expires_in, 'SECOND'),
        :metadata, :payload)
