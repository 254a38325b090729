-- Systems without their credentials; the key is id and environment.
CREATE TABLE systems (
  system_id   TEXT NOT NULL,
  environment TEXT NOT NULL CHECK (environment IN ('prod', 'dev')),
  definition  TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (system_id, environment)
) WITHOUT ROWID;

-- A value is sealed and bound to this row; a source says where to read one at run time.
CREATE TABLE credentials (
  system_id   TEXT NOT NULL,
  environment TEXT NOT NULL,
  name        TEXT NOT NULL,
  sealed      BLOB,
  source      TEXT,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (system_id, environment, name),
  CHECK ((sealed IS NULL) <> (source IS NULL))
) WITHOUT ROWID;

-- Which key the sealed values need, so that a wrong one is noticed before it is used.
CREATE TABLE master_key (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  fingerprint TEXT NOT NULL
);

INSERT INTO revisions VALUES ('systems', 0);

-- OAuth tokens, sealed; a rotated refresh token is here before it is used.
CREATE TABLE tokens (
  system_id   TEXT NOT NULL,
  environment TEXT NOT NULL,
  sealed      BLOB NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (system_id, environment)
) WITHOUT ROWID;
