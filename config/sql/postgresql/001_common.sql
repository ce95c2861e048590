-- What every role's database has. Moments are milliseconds since 1970, UTC. A file named NNN_name.sql is run for all
-- roles, NNN_name.role.sql for that role only; statements end with a semicolon at the end of a line.

CREATE TABLE schema_version (version BIGINT PRIMARY KEY, at BIGINT NOT NULL);

-- One row. The verified pair is the Redis instance whose outcomes may be recorded; run_id '' closes the gate.
CREATE TABLE role_state (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  partitions BIGINT NOT NULL,
  losses BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  verified_run_id TEXT NOT NULL,
  verified_generation BIGINT NOT NULL
);
INSERT INTO role_state VALUES (1, 0, 0, 0, '', 0);

-- Written by health checks and by nothing else, so that they wait for nobody.
CREATE TABLE probe (id BIGINT PRIMARY KEY CHECK (id = 1), at BIGINT NOT NULL);
INSERT INTO probe VALUES (1, 0);

CREATE TABLE shards (
  partition BIGINT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  turn BIGINT NOT NULL,
  turn_digest BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  published BIGINT NOT NULL,
  losses_seen BIGINT NOT NULL
);

CREATE TABLE positions (
  partition BIGINT NOT NULL,
  topic TEXT NOT NULL,
  next BIGINT NOT NULL,
  timestamp BIGINT NOT NULL,
  hash BIGINT NOT NULL,
  PRIMARY KEY (partition, topic)
);

-- One row a turn; records is what actors/event.hpp packs.
CREATE TABLE outbox (
  partition BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  at BIGINT NOT NULL,
  records BYTEA NOT NULL,
  PRIMARY KEY (partition, sequence)
);

CREATE TABLE dead_letters (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  partition BIGINT NOT NULL,
  topic TEXT NOT NULL,
  at_partition BIGINT NOT NULL,
  at_offset BIGINT NOT NULL,
  cause TEXT NOT NULL,
  key BYTEA,
  value BYTEA,
  at BIGINT NOT NULL
);

-- Records that wait behind a parked order. topic is where the record lay, event_topic what it says.
CREATE TABLE parked (
  position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key TEXT NOT NULL,
  topic TEXT NOT NULL,
  at_partition BIGINT NOT NULL,
  at_offset BIGINT NOT NULL,
  at_timestamp BIGINT NOT NULL,
  record_key BYTEA,
  value BYTEA,
  poison TEXT NOT NULL,
  event_topic TEXT NOT NULL,
  stored BIGINT NOT NULL,
  ce_id TEXT NOT NULL,
  ce_time BIGINT NOT NULL,
  traceparent TEXT NOT NULL
);
CREATE INDEX parked_key ON parked (key);

CREATE TABLE quarantine (
  key TEXT COLLATE "C" PRIMARY KEY,
  partition BIGINT NOT NULL,
  reason TEXT NOT NULL,
  restarts BIGINT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT NOT NULL
);

-- Answers of requests with an Idempotency-Key, for 24 h. status 0: still running.
CREATE TABLE answers (
  key TEXT COLLATE "C" PRIMARY KEY,
  hash TEXT NOT NULL,
  status BIGINT NOT NULL,
  location TEXT NOT NULL,
  body TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX answers_at ON answers (at);
