/* events.aq.subscribe */
-- Registers a consumer group. Another session may have been faster.
DECLARE
  is_there EXCEPTION;
  PRAGMA EXCEPTION_INIT(is_there, -24034);
BEGIN
  DBMS_AQADM.ADD_SUBSCRIBER(
    queue_name => :queue_name,
    subscriber => SYS.AQ$_AGENT(:subscriber, NULL, NULL),
    rule       => :rule);
EXCEPTION
  WHEN is_there THEN NULL;
END;
