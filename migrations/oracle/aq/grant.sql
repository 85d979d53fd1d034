/* events.aq.grant */
-- Lets another user publish to the queue and consume from it; run by its owner.
BEGIN
  DBMS_AQADM.GRANT_QUEUE_PRIVILEGE(
    privilege => 'ENQUEUE', queue_name => 'SQLSPEC_EVENTS_QUEUE', grantee => 'SQLSPEC_EVENTS_USER');
  DBMS_AQADM.GRANT_QUEUE_PRIVILEGE(
    privilege => 'DEQUEUE', queue_name => 'SQLSPEC_EVENTS_QUEUE', grantee => 'SQLSPEC_EVENTS_USER');
END;
/
