/* events.tables.up */
-- The durable queue. Times are those of the server, in UTC.
-- Oracle commits after each of these, so what is there already is left as it is, and a run that
-- was cut short is completed by the next one.
DECLARE
  PROCEDURE make(ddl VARCHAR2) IS
    name_is_used EXCEPTION;
    PRAGMA EXCEPTION_INIT(name_is_used, -955);
    columns_are_indexed EXCEPTION;
    PRAGMA EXCEPTION_INIT(columns_are_indexed, -1408);
    constraint_is_there EXCEPTION;
    PRAGMA EXCEPTION_INIT(constraint_is_there, -2264);
  BEGIN
    EXECUTE IMMEDIATE ddl;
  EXCEPTION
    WHEN name_is_used OR columns_are_indexed OR constraint_is_there THEN NULL;
  END;
BEGIN
  -- A queue is a channel and a consumer group; publishing stores one row for each queue of a
  -- channel. The default group is a hyphen, which no group name can be.
  make(q'[
    CREATE TABLE sqlspec_event_queue_queue (
      queue_id       NUMBER(10)         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      channel        VARCHAR2(128 BYTE) NOT NULL,
      consumer_group VARCHAR2(128 BYTE) DEFAULT '-' NOT NULL,
      paused         NUMBER(1)          DEFAULT 0 NOT NULL CHECK (paused IN (0, 1)),
      created_at     TIMESTAMP(6)       DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL,
      CONSTRAINT idx_sqlspec_event_queue_queue UNIQUE (channel, consumer_group)
    )]');

  -- status is 0 ready, 1 delayed, 2 ready again after its lease ended (claimed alone), 3 leased,
  -- 4 acked. due_at is when that ends by itself, or when it was acked.
  -- priority is stored negated, so that the index is read in the order of delivery.
  -- lease_token is the fence, every claim raises it, and ack, nack and extend must match it.
  -- expiry_queue is there only for what can expire, so only that is in its index.
  make(q'[
    CREATE TABLE sqlspec_event_queue (
      id           NUMBER(19)   GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY,
      queue_id     NUMBER(10)   NOT NULL,
      event_id     RAW(16)      NOT NULL,
      status       NUMBER(1)    DEFAULT 0 NOT NULL CHECK (status BETWEEN 0 AND 4),
      priority     NUMBER(5)    DEFAULT 0 NOT NULL,
      attempts     NUMBER(10)   DEFAULT 0 NOT NULL,
      lease_token  NUMBER(10)   DEFAULT 0 NOT NULL,
      keyed        NUMBER(1)    DEFAULT 0 NOT NULL,
      requeues     NUMBER(10)   DEFAULT 0 NOT NULL,
      available_at TIMESTAMP(6) DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL,
      due_at       TIMESTAMP(6),
      expires_at   TIMESTAMP(6),
      created_at   TIMESTAMP(6) DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL,
      last_error   VARCHAR2(4000 BYTE),
      metadata     BLOB,
      payload      BLOB         NOT NULL,
      expiry_queue NUMBER(10)   GENERATED ALWAYS AS
        (CASE WHEN expires_at IS NOT NULL AND status < 3 THEN queue_id END) VIRTUAL
    )]');
  make('CREATE INDEX idx_sqlspec_event_queue_claim ON sqlspec_event_queue (queue_id, status, priority, id)');
  make('CREATE INDEX idx_sqlspec_event_queue_due ON sqlspec_event_queue (queue_id, status, due_at)');
  make('CREATE INDEX idx_sqlspec_event_queue_expiry ON sqlspec_event_queue (expiry_queue, expires_at)');

  -- Events that were given up, reason is max_attempts, rejected, expired or undecodable.
  make(q'[
    CREATE TABLE sqlspec_event_queue_dead (
      id          NUMBER(19)   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      queue_id    NUMBER(10)   NOT NULL,
      event_id    RAW(16)      NOT NULL,
      priority    NUMBER(5)    NOT NULL,
      attempts    NUMBER(10)   NOT NULL,
      lease_token NUMBER(10)   NOT NULL,
      keyed       NUMBER(1)    NOT NULL,
      requeues    NUMBER(10)   NOT NULL,
      reason      VARCHAR2(32 BYTE) NOT NULL,
      died_at     TIMESTAMP(6) DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL,
      created_at  TIMESTAMP(6) NOT NULL,
      last_error  VARCHAR2(4000 BYTE),
      metadata    BLOB,
      payload     BLOB         NOT NULL
    )]');
  make('CREATE INDEX idx_sqlspec_event_queue_dead ON sqlspec_event_queue_dead (queue_id, died_at)');
  make('CREATE INDEX idx_sqlspec_event_queue_dead_e ON sqlspec_event_queue_dead (event_id)');
  make('CREATE INDEX idx_sqlspec_event_queue_dead_x ON sqlspec_event_queue_dead (reason, died_at)');

  -- Ids that a caller supplied, so that publishing one again stores nothing. pending counts the
  -- groups that have not settled it; expires_at is set when none is left.
  make(q'[
    CREATE TABLE sqlspec_event_queue_key (
      event_id   RAW(16)      PRIMARY KEY,
      pending    NUMBER(10)   NOT NULL,
      expires_at TIMESTAMP(6)
    )]');
  make('CREATE INDEX idx_sqlspec_event_queue_key ON sqlspec_event_queue_key (expires_at)');

  -- Payloads can be read with the dots of SQL where the server takes JSON of any kind; before 21c
  -- it would refuse a JSON text that is neither object nor array.
  IF DBMS_DB_VERSION.VERSION >= 21 THEN
    make('ALTER TABLE sqlspec_event_queue ADD CONSTRAINT ck_sqlspec_event_queue CHECK (payload IS JSON)');
  END IF;
END;
/
