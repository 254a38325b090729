-- Running runs that another process watches. The owner of a run notes its steps here as they begin;
-- of other runs it has them in memory until the end, which costs no commit.
CREATE TABLE watched_runs (
  run_id TEXT PRIMARY KEY,
  steps  TEXT
) WITHOUT ROWID;

-- Other processes show lists in which deleted runs are.
INSERT INTO revisions VALUES ('deleted runs', 0);
