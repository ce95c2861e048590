-- The ledger of stock: Redis may lose its counters, these tables may not (rules 7 and 8).

CREATE TABLE reservations (
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
CREATE INDEX reservations_open ON reservations (partition) WHERE open = 1;
CREATE INDEX reservations_held ON reservations (key) WHERE state = 'reserved';

-- available = stocked - reserved - sold. version rises when name, currency or price change.
CREATE TABLE products (
  product_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  currency TEXT NOT NULL,
  price_minor INTEGER NOT NULL,
  stocked INTEGER NOT NULL,
  reserved INTEGER NOT NULL,
  sold INTEGER NOT NULL,
  version INTEGER NOT NULL
) WITHOUT ROWID;

-- Changes of stock by hand. given: counted in the totals. asked: waits for Redis. done, refused: settled.
-- told: Redis knows.
CREATE TABLE hands (
  id TEXT PRIMARY KEY,
  product_id TEXT NOT NULL,
  delta INTEGER NOT NULL,
  state TEXT NOT NULL,
  told INTEGER NOT NULL,
  created INTEGER NOT NULL,
  reason TEXT NOT NULL,
  why TEXT NOT NULL,
  answer_key TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX hands_untold ON hands (at) WHERE told = 0;
CREATE INDEX hands_answer ON hands (answer_key) WHERE answer_key <> '';
