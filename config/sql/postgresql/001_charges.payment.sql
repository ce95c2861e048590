-- Charges and refunds, by effect key.
-- fillfactor leaves room for updates in the same page, which then touch no index.

CREATE TABLE charges (
  key TEXT COLLATE "C" PRIMARY KEY,
  partition BIGINT NOT NULL,
  version BIGINT NOT NULL,
  state TEXT NOT NULL,
  owner TEXT COLLATE "C" NOT NULL,
  open BIGINT NOT NULL,
  due BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  doc TEXT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX charges_open ON charges (partition) WHERE open = 1;
