-- The durable queue. Times are microseconds since 1970, by the clock of the host of the database.

-- A queue is a channel and a consumer group; publishing stores one row for each queue of a channel.
-- The default group is '-', which no group name can be.
CREATE TABLE sqlspec_event_queue_queue (
    queue_id       INTEGER PRIMARY KEY,
    channel        TEXT    NOT NULL CHECK (length(channel) BETWEEN 1 AND 128),
    consumer_group TEXT    NOT NULL DEFAULT '-',
    paused         INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    created_at     INTEGER NOT NULL,
    UNIQUE (channel, consumer_group)
) STRICT;

-- status: 10 ready, 11 delayed, 12 ready again after its lease ended (claimed alone), 13 leased, 14 acked.
-- lease_token is the fence: every claim raises it, and ack, nack and extend must match it.
-- A row that keeps its size is changed in place, and its payload is not written again: so a time
-- that has not come is not NULL but the end of the year 9999, and no status is 0 or 1, which take
-- no byte. lease_expires_at counts while the event is leased, acked_at when it is acked.
CREATE TABLE sqlspec_event_queue (
    id               INTEGER PRIMARY KEY,
    queue_id         INTEGER NOT NULL,
    event_id         BLOB    NOT NULL CHECK (length(event_id) = 16),
    status           INTEGER NOT NULL DEFAULT 10 CHECK (status BETWEEN 10 AND 14),
    priority         INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    lease_token      INTEGER NOT NULL DEFAULT 0,
    keyed            INTEGER NOT NULL DEFAULT 0,
    requeues         INTEGER NOT NULL DEFAULT 0,
    available_at     INTEGER NOT NULL,
    lease_expires_at INTEGER NOT NULL DEFAULT 253402300799999999,
    expires_at       INTEGER,
    acked_at         INTEGER NOT NULL DEFAULT 253402300799999999,
    created_at       INTEGER NOT NULL,
    last_error       TEXT,
    metadata         TEXT,
    payload          TEXT    NOT NULL
) STRICT;

-- Each row is in the index of its status only, so that leased, delayed and finished rows never
-- stand in front of ready ones, and no claim or clean-up needs a sort.
CREATE INDEX idx_sqlspec_event_queue_claim ON sqlspec_event_queue (queue_id, priority DESC, id) WHERE status = 10;
CREATE INDEX idx_sqlspec_event_queue_delayed ON sqlspec_event_queue (queue_id, available_at) WHERE status = 11;
CREATE INDEX idx_sqlspec_event_queue_suspect ON sqlspec_event_queue (queue_id, priority DESC, id) WHERE status = 12;
CREATE INDEX idx_sqlspec_event_queue_leased ON sqlspec_event_queue (queue_id, lease_expires_at) WHERE status = 13;
CREATE INDEX idx_sqlspec_event_queue_acked ON sqlspec_event_queue (queue_id, acked_at) WHERE status = 14;
CREATE INDEX idx_sqlspec_event_queue_expiry ON sqlspec_event_queue (queue_id, expires_at) WHERE expires_at IS NOT NULL AND status < 13;

-- Events that were given up: reason is max_attempts, rejected, expired or undecodable.
CREATE TABLE sqlspec_event_queue_dead (
    id         INTEGER PRIMARY KEY,
    queue_id   INTEGER NOT NULL,
    event_id   BLOB    NOT NULL CHECK (length(event_id) = 16),
    priority   INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    lease_token INTEGER NOT NULL,
    keyed      INTEGER NOT NULL,
    requeues   INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    died_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_error TEXT,
    metadata   TEXT,
    payload    TEXT    NOT NULL
) STRICT;

CREATE INDEX idx_sqlspec_event_queue_dead ON sqlspec_event_queue_dead (queue_id, died_at);
CREATE INDEX idx_sqlspec_event_queue_dead_event ON sqlspec_event_queue_dead (event_id);
CREATE INDEX idx_sqlspec_event_queue_dead_expired ON sqlspec_event_queue_dead (died_at) WHERE reason = 'expired';

-- Ids that a caller supplied, so that publishing one again stores nothing.
-- pending counts the groups that have not settled it; expires_at is set when none is left.
CREATE TABLE sqlspec_event_queue_key (
    event_id   BLOB    PRIMARY KEY CHECK (length(event_id) = 16),
    pending    INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_sqlspec_event_queue_key_expiry ON sqlspec_event_queue_key (expires_at) WHERE expires_at IS NOT NULL;
