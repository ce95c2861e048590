-- Charges and refunds, by effect key.

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
);
CREATE INDEX charges_open ON charges (partition) WHERE open = 1;
