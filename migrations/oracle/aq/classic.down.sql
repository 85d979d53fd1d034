/* events.aq.classic_down */
-- Drops the queue with every message in it; what is gone already is passed over.
DECLARE
  queue_is_gone EXCEPTION;
  PRAGMA EXCEPTION_INIT(queue_is_gone, -24010);
  table_is_gone EXCEPTION;
  PRAGMA EXCEPTION_INIT(table_is_gone, -24002);
BEGIN
  BEGIN
    DBMS_AQADM.STOP_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
    DBMS_AQADM.DROP_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
  EXCEPTION
    WHEN queue_is_gone THEN NULL;
  END;
  BEGIN
    DBMS_AQADM.STOP_QUEUE(queue_name => 'AQ$_SQLSPEC_EVENTS_QUEUE_QT_E');
  EXCEPTION
    WHEN queue_is_gone THEN NULL;
  END;
  BEGIN
    DBMS_AQADM.DROP_QUEUE_TABLE(queue_table => 'SQLSPEC_EVENTS_QUEUE_QT');
  EXCEPTION
    WHEN table_is_gone THEN NULL;
  END;
END;
/
