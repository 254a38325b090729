-- Keys of `serve --http`: what is stored tells whether a key is right, never what it is.
-- `tool_ids` and `folders` are JSON lists that narrow a key; empty lists do not.
CREATE TABLE api_keys (
  key_id       INTEGER PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE,
  hash         BLOB NOT NULL UNIQUE,
  scopes       TEXT NOT NULL,
  tool_ids     TEXT NOT NULL,
  folders      TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER,
  revoked_at   INTEGER
);

-- Accepted runs that have not begun; the oldest is next. One that is not resumable needs what is
-- nowhere stored, such as run-time credentials, and ends with its process.
CREATE TABLE run_queue (
  seq       INTEGER PRIMARY KEY,
  resumable INTEGER NOT NULL
);
