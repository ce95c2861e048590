-- Rule 11: takes of a shard since its last progress, and how often the record at `next` was about to be tried.

ALTER TABLE shards ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE positions ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
