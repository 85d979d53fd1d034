/* events.aq.unsubscribe */
-- Takes a consumer group off, with every message that waits for it.
DECLARE
  is_gone EXCEPTION;
  PRAGMA EXCEPTION_INIT(is_gone, -24035);
BEGIN
  DBMS_AQADM.REMOVE_SUBSCRIBER(
    queue_name => :queue_name,
    subscriber => SYS.AQ$_AGENT(:subscriber, NULL, NULL));
EXCEPTION
  WHEN is_gone THEN NULL;
END;
