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
