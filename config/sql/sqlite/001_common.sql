-- What every role's database has. Moments are milliseconds since 1970, UTC. A file named NNN_name.sql is run for all
-- roles, NNN_name.role.sql for that role only; statements end with a semicolon at the end of a line.

CREATE TABLE schema_version (version INTEGER PRIMARY KEY, at INTEGER NOT NULL);

-- One row. The verified pair is the Redis instance whose outcomes may be recorded; run_id '' closes the gate.
CREATE TABLE role_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  partitions INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  verified_run_id TEXT NOT NULL,
  verified_generation INTEGER NOT NULL
);
INSERT INTO role_state VALUES (1, 0, 0, 0, '', 0);

-- Written by health checks and by nothing else, so that they wait for nobody.
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL);
INSERT INTO probe VALUES (1, 0);

CREATE TABLE shards (
  partition INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  turn_digest INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  published INTEGER NOT NULL,
  losses_seen INTEGER NOT NULL
);

CREATE TABLE positions (
  partition INTEGER NOT NULL,
  topic TEXT NOT NULL,
  next INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  PRIMARY KEY (partition, topic)
) WITHOUT ROWID;

-- One row a turn; records is what actors/event.hpp packs.
CREATE TABLE outbox (
  partition INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  records TEXT NOT NULL,
  PRIMARY KEY (partition, sequence)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  partition INTEGER NOT NULL,
  topic TEXT NOT NULL,
  at_partition INTEGER NOT NULL,
  at_offset INTEGER NOT NULL,
  cause TEXT NOT NULL,
  key TEXT,
  value TEXT,
  at INTEGER NOT NULL
);

-- Records that wait behind a parked order. topic is where the record lay, event_topic what it says.
CREATE TABLE parked (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL,
  topic TEXT NOT NULL,
  at_partition INTEGER NOT NULL,
  at_offset INTEGER NOT NULL,
  at_timestamp INTEGER NOT NULL,
  record_key TEXT,
  value TEXT,
  poison TEXT NOT NULL,
  event_topic TEXT NOT NULL,
  stored INTEGER NOT NULL,
  ce_id TEXT NOT NULL,
  ce_time INTEGER NOT NULL,
  traceparent TEXT NOT NULL
);
CREATE INDEX parked_key ON parked (key);

CREATE TABLE quarantine (
  key TEXT PRIMARY KEY,
  partition INTEGER NOT NULL,
  reason TEXT NOT NULL,
  restarts INTEGER NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL
) WITHOUT ROWID;

-- Answers of requests with an Idempotency-Key, for 24 h. status 0: still running.
CREATE TABLE answers (
  key TEXT PRIMARY KEY,
  hash TEXT NOT NULL,
  status INTEGER NOT NULL,
  location TEXT NOT NULL,
  body TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX answers_at ON answers (at);
