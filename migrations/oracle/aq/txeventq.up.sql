/* events.aq.txeventq_up */
-- Makes the queue and starts it; what is there already is left as it is.
DECLARE
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
    WHEN queue_exists THEN NULL;
  END;
  DBMS_AQADM.START_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
END;
/
