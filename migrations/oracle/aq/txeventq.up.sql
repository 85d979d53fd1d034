/* events.aq.txeventq_up */
-- Makes the queue and starts it; what is there already is left as it is.
DECLARE
  -- A queue of this kind is its own queue table, so either may be what exists.
  table_exists EXCEPTION;
  PRAGMA EXCEPTION_INIT(table_exists, -24001);
  queue_exists EXCEPTION;
  PRAGMA EXCEPTION_INIT(queue_exists, -24006);
BEGIN
  BEGIN
    DBMS_AQADM.CREATE_TRANSACTIONAL_EVENT_QUEUE(
      queue_name         => 'SQLSPEC_EVENTS_QUEUE',
      queue_payload_type => 'JSON',
      multiple_consumers => FALSE,
      max_retries        => 20);
  EXCEPTION
    WHEN table_exists OR queue_exists THEN NULL;
  END;
  DBMS_AQADM.START_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
END;
/
