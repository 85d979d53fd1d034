/* events.aq.txeventq_down */
-- Drops the queue with every message in it; what is gone already is passed over.
DECLARE
  queue_is_gone EXCEPTION;
  PRAGMA EXCEPTION_INIT(queue_is_gone, -24010);
BEGIN
  DBMS_AQADM.STOP_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
  DBMS_AQADM.DROP_TRANSACTIONAL_EVENT_QUEUE(queue_name => 'SQLSPEC_EVENTS_QUEUE');
EXCEPTION
  WHEN queue_is_gone THEN NULL;
END;
/
