-- Definitions that were stored or executed, each text once. Runs keep theirs after a tool is gone.
CREATE TABLE snapshots (
  snapshot_id INTEGER PRIMARY KEY,
  hash        BLOB NOT NULL UNIQUE,
  definition  TEXT NOT NULL
);

CREATE TABLE tools (
  tool_id        TEXT PRIMARY KEY,
  version_number INTEGER NOT NULL,
  snapshot_id    INTEGER NOT NULL REFERENCES snapshots,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tool_versions (
  tool_id        TEXT NOT NULL,
  version_number INTEGER NOT NULL,
  snapshot_id    INTEGER NOT NULL REFERENCES snapshots,
  created_at     INTEGER NOT NULL,
  PRIMARY KEY (tool_id, version_number)
) WITHOUT ROWID;

-- Numbers that grow when something changes; other processes watch them.
CREATE TABLE revisions (
  subject TEXT PRIMARY KEY,
  number  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO revisions VALUES ('tools', 0);

-- Payloads above a few kilobytes, each content once, compressed.
CREATE TABLE blobs (
  blob_id  INTEGER PRIMARY KEY,
  hash     BLOB NOT NULL UNIQUE,
  size     INTEGER NOT NULL,
  encoding TEXT NOT NULL CHECK (encoding IN ('raw', 'zstd')),
  data     BLOB NOT NULL
);

-- Narrow on purpose: lists and counts never touch the payloads beside it.
-- `owner` is the process that executes the run, null once it has ended.
CREATE TABLE runs (
  seq             INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id          TEXT NOT NULL UNIQUE,
  tool_id         TEXT NOT NULL,
  snapshot_id     INTEGER NOT NULL REFERENCES snapshots,
  version_number  INTEGER,
  status          TEXT NOT NULL CHECK (status IN ('running', 'success', 'failed', 'aborted')),
  request_source  TEXT NOT NULL,
  started_at      INTEGER NOT NULL,
  completed_at    INTEGER,
  execution_mode  TEXT NOT NULL,
  owner           TEXT,
  trace_id        TEXT,
  user_id         TEXT,
  client_name     TEXT,
  client_version  TEXT,
  parent_run_id   TEXT,
  source_run_id   TEXT,
  source_kind     TEXT,
  idempotency_key TEXT,
  error           TEXT
);
CREATE INDEX runs_by_tool          ON runs (tool_id, seq);
CREATE INDEX runs_by_status        ON runs (status, seq);
CREATE INDEX runs_by_source        ON runs (request_source, seq);
CREATE INDEX runs_by_tool_status   ON runs (tool_id, status, seq);
CREATE INDEX runs_by_tool_source   ON runs (tool_id, request_source, seq);
CREATE INDEX runs_by_status_source ON runs (status, request_source, seq);
CREATE INDEX runs_by_owner         ON runs (owner) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX runs_by_idempotency_key
  ON runs (tool_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- A document column holds its JSON as TEXT, or as INTEGER the blob that holds it. It has no type,
-- because any type would turn the text of a number into a number.
CREATE TABLE run_details (
  seq          INTEGER PRIMARY KEY,
  inputs,
  options      TEXT,
  result,
  error_detail TEXT,
  steps,
  logs,
  cost         TEXT,
  sub_tools
);

-- Which blobs a run needs, so that deleting it can free them.
CREATE TABLE blob_uses (
  seq     INTEGER NOT NULL,
  blob_id INTEGER NOT NULL REFERENCES blobs,
  PRIMARY KEY (seq, blob_id)
) WITHOUT ROWID;
CREATE INDEX blob_uses_by_blob ON blob_uses (blob_id);

-- Kept in the transaction of each run, so that a total never counts rows.
CREATE TABLE run_counts (
  tool_id        TEXT NOT NULL,
  status         TEXT NOT NULL,
  request_source TEXT NOT NULL,
  runs           INTEGER NOT NULL,
  PRIMARY KEY (tool_id, status, request_source)
) WITHOUT ROWID;

-- A wish of another process; the owner of the run reads and deletes it.
CREATE TABLE cancel_requests (
  run_id       TEXT PRIMARY KEY,
  requested_at INTEGER NOT NULL,
  reason       TEXT NOT NULL
) WITHOUT ROWID;
