/* events.tables.down */
-- Dropping a table drops its indexes. Events, dead letters and registrations are lost.
DECLARE
  PROCEDURE drop_table(name VARCHAR2) IS
    is_gone EXCEPTION;
    PRAGMA EXCEPTION_INIT(is_gone, -942);
  BEGIN
    EXECUTE IMMEDIATE 'DROP TABLE ' || name || ' PURGE';
  EXCEPTION
    WHEN is_gone THEN NULL;
  END;
BEGIN
  drop_table('sqlspec_event_queue_key');
  drop_table('sqlspec_event_queue_dead');
  drop_table('sqlspec_event_queue');
  drop_table('sqlspec_event_queue_queue');
END;
/
