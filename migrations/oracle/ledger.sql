/* events.tables.ledger */
-- Which migrations this schema has had, for each queue table in it.
DECLARE
  name_is_used EXCEPTION;
  PRAGMA EXCEPTION_INIT(name_is_used, -955);
BEGIN
  EXECUTE IMMEDIATE q'[
    CREATE TABLE event_channels_migrations (
      queue_table VARCHAR2(128 BYTE) NOT NULL,
      id          VARCHAR2(64 BYTE)  NOT NULL,
      checksum    VARCHAR2(64 BYTE)  NOT NULL,
      applied_at  TIMESTAMP(6)       DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL,
      PRIMARY KEY (queue_table, id)
    )]';
EXCEPTION
  WHEN name_is_used THEN NULL;
END;
/
