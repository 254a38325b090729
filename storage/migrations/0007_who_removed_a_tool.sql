-- Each change of a tool is kept with who made it, and its removal is one.
CREATE TABLE tool_removals (
  removal_id  INTEGER PRIMARY KEY,
  tool_id     TEXT NOT NULL,
  removed_at  INTEGER NOT NULL,
  changed_by  TEXT,
  client_name TEXT
);
CREATE INDEX tool_removals_by_tool ON tool_removals (tool_id);

-- A status that no run had is 0 and not NULL.
DROP VIEW tool_totals;
CREATE VIEW tool_totals AS
  SELECT tool_id, sum(runs) AS runs,
         coalesce(sum(runs) FILTER (WHERE status = 'success'), 0) AS success,
         coalesce(sum(runs) FILTER (WHERE status = 'failed'), 0) AS failed,
         coalesce(sum(runs) FILTER (WHERE status = 'aborted'), 0) AS aborted,
         coalesce(sum(runs) FILTER (WHERE status = 'running'), 0) AS running
  FROM run_counts GROUP BY tool_id;
