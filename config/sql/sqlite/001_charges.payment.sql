-- Charges and refunds, by effect key.

CREATE TABLE charges (
  key TEXT PRIMARY KEY,
  partition INTEGER NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  owner TEXT NOT NULL,
  open INTEGER NOT NULL,
  due INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  doc TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX charges_open ON charges (partition) WHERE open = 1;
