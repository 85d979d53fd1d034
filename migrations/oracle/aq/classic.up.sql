/* events.aq.classic_up */
-- Makes the queue and starts it; what is there already is left as it is.
DECLARE
  table_exists EXCEPTION;
  PRAGMA EXCEPTION_INIT(table_exists, -24001);
  queue_exists EXCEPTION;
  PRAGMA EXCEPTION_INIT(queue_exists, -24006);
BEGIN
  BEGIN
    DBMS_AQADM.CREATE_QUEUE_TABLE(
      queue_table        => 'SQLSPEC_EVENTS_QUEUE_QT',
      queue_payload_type => CASE WHEN DBMS_DB_VERSION.VERSION >= 21 THEN 'JSON' ELSE 'RAW' END,
      sort_list          => 'PRIORITY,ENQ_TIME',
      multiple_consumers => FALSE);
  EXCEPTION
    WHEN table_exists THEN NULL;
  END;
  BEGIN
    DBMS_AQADM.CREATE_QUEUE(
      queue_name     => 'SQLSPEC_EVENTS_QUEUE',
      queue_table    => 'SQLSPEC_EVENTS_QUEUE_QT',
      max_retries    => 20,
      retry_delay    => 0,
      retention_time => 0);
  EXCEPTION
    WHEN queue_exists THEN NULL;
  END;
  DBMS_AQADM.START_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
  -- What Oracle itself has given up can then be put back or deleted.
  DBMS_AQADM.START_QUEUE(
    queue_name => 'AQ$_SQLSPEC_EVENTS_QUEUE_QT_E', enqueue => FALSE, dequeue => TRUE);
END;
/
