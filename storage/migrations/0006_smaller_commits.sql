-- Processes own running runs only, and those have an index. Each index is a page more in the
-- commit before a run's first request and in the one at its end.
DROP INDEX runs_by_owner;

-- From here on a document that belongs to one run alone (`steps`) may be a BLOB in its column:
-- the JSON text, compressed with zstd. No content is shared with another run, so it is no row of
-- `blobs`.
