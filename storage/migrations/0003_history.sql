-- A payload lies in its row, or at `uri` when it is too large for a database.
CREATE TABLE blobs_with_places (
  blob_id      INTEGER PRIMARY KEY,
  hash         BLOB NOT NULL UNIQUE,
  size         INTEGER NOT NULL,
  encoding     TEXT NOT NULL CHECK (encoding IN ('raw', 'zstd')),
  data         BLOB,
  uri          TEXT,
  stored_bytes INTEGER,
  CHECK ((data IS NULL) = (uri IS NOT NULL AND stored_bytes IS NOT NULL))
);
INSERT INTO blobs_with_places SELECT blob_id, hash, size, encoding, data, NULL, NULL FROM blobs;
DROP TABLE blobs;
ALTER TABLE blobs_with_places RENAME TO blobs;
CREATE INDEX blobs_elsewhere ON blobs (stored_bytes, uri) WHERE uri IS NOT NULL;

ALTER TABLE runs ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;

-- Who made a version, and from which client.
ALTER TABLE tool_versions ADD COLUMN changed_by TEXT;
ALTER TABLE tool_versions ADD COLUMN client_name TEXT;

-- The first part of a result that lies elsewhere, compressed, for search.
ALTER TABLE run_details ADD COLUMN result_head BLOB;

-- A run is in the indexes of final statuses once it has ended, and moves between none.
DROP INDEX runs_by_status;
DROP INDEX runs_by_tool_status;
DROP INDEX runs_by_status_source;
CREATE INDEX runs_by_status        ON runs (status, seq) WHERE status <> 'running';
CREATE INDEX runs_by_tool_status   ON runs (tool_id, status, seq) WHERE status <> 'running';
CREATE INDEX runs_by_status_source ON runs (status, request_source, seq) WHERE status <> 'running';
CREATE INDEX runs_running          ON runs (seq) WHERE status = 'running';
CREATE INDEX runs_by_started       ON runs (started_at);
CREATE INDEX runs_by_source_run    ON runs (source_run_id) WHERE source_run_id IS NOT NULL;

-- The words of a run; the texts themselves stay in its documents.
CREATE VIRTUAL TABLE run_search USING fts5 (tool, inputs, error, result, content = '');
-- Ended runs whose words are not in the index yet.
CREATE TABLE search_queue (seq INTEGER PRIMARY KEY);
INSERT INTO search_queue SELECT seq FROM runs WHERE status <> 'running';

-- Things that are said once.
CREATE TABLE announcements (
  name         TEXT PRIMARY KEY,
  announced_at INTEGER NOT NULL
) WITHOUT ROWID;

-- For people who read with SQL; times are UTC, sizes bytes.
CREATE VIEW run_list AS
  SELECT run_id, tool_id, version_number AS tool_version, status, request_source, client_name,
         strftime('%Y-%m-%d %H:%M:%f', started_at / 1000.0, 'unixepoch') AS started_at,
         completed_at - started_at AS duration_ms, execution_mode, user_id, error,
         parent_run_id, source_run_id, source_kind, pinned
  FROM runs;

-- Longer texts are compressed, and absent here.
CREATE VIEW run_texts AS
  SELECT run_id, tool_id, status, error,
         CASE typeof(inputs) WHEN 'text' THEN inputs END AS inputs,
         CASE typeof(result) WHEN 'text' THEN result END AS result
  FROM runs JOIN run_details USING (seq);

CREATE VIEW run_costs AS
  SELECT run_id, tool_id, cost ->> '$.requests' AS requests, cost ->> '$.pages' AS pages,
         cost ->> '$.bytesIn' AS bytes_in, cost ->> '$.bytesOut' AS bytes_out,
         cost ->> '$.scriptMs' AS script_ms, cost ->> '$.units' AS units
  FROM runs JOIN run_details USING (seq);

CREATE VIEW tool_totals AS
  SELECT tool_id, sum(runs) AS runs,
         sum(runs) FILTER (WHERE status = 'success') AS success,
         sum(runs) FILTER (WHERE status = 'failed') AS failed,
         sum(runs) FILTER (WHERE status = 'aborted') AS aborted,
         sum(runs) FILTER (WHERE status = 'running') AS running
  FROM run_counts GROUP BY tool_id;
