-- What is to be sent, or started, when a run has ended; written with the run, so that none is lost.
-- `chain` is a JSON list of the tools above, of deliveries that start another tool.
CREATE TABLE outbox (
  delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id      TEXT NOT NULL,
  target      TEXT NOT NULL,
  chain       TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'skipped', 'dead')),
  attempts    INTEGER NOT NULL,
  next_at     INTEGER NOT NULL,
  error       TEXT,
  created_at  INTEGER NOT NULL,
  ended_at    INTEGER
);
CREATE INDEX outbox_pending ON outbox (next_at) WHERE status = 'pending';

-- Who outside may start a tool, and how they prove it. The secret is a credential of a system.
CREATE TABLE hooks (
  tool_id     TEXT PRIMARY KEY,
  system_id   TEXT NOT NULL,
  credential  TEXT NOT NULL,
  scheme      TEXT NOT NULL CHECK (scheme IN ('secret', 'hmac', 'timestamped')),
  header      TEXT NOT NULL,
  created_at  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE schedules (
  schedule_id TEXT PRIMARY KEY,
  tool_id     TEXT NOT NULL,
  cron        TEXT NOT NULL,
  time_zone   TEXT NOT NULL,
  inputs      TEXT NOT NULL,
  enabled     INTEGER NOT NULL,
  next_at     INTEGER,
  last_at     INTEGER,
  last_run_id TEXT,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled;
