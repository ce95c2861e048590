-- The ledger of stock: Redis may lose its counters, these tables may not (rules 7 and 8).
-- fillfactor leaves room for updates in the same page, which then touch no index.

CREATE TABLE reservations (
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
CREATE INDEX reservations_open ON reservations (partition) WHERE open = 1;
CREATE INDEX reservations_held ON reservations (key) WHERE state = 'reserved';

-- available = stocked - reserved - sold. version rises when name, currency or price change.
CREATE TABLE products (
  product_id TEXT COLLATE "C" PRIMARY KEY,
  name TEXT NOT NULL,
  currency TEXT NOT NULL,
  price_minor BIGINT NOT NULL,
  stocked BIGINT NOT NULL,
  reserved BIGINT NOT NULL,
  sold BIGINT NOT NULL,
  version BIGINT NOT NULL
);

-- Changes of stock by hand. given: counted in the totals. asked: waits for Redis. done, refused: settled.
-- told: Redis knows.
CREATE TABLE hands (
  id TEXT COLLATE "C" PRIMARY KEY,
  product_id TEXT NOT NULL,
  delta BIGINT NOT NULL,
  state TEXT NOT NULL,
  told BIGINT NOT NULL,
  created BIGINT NOT NULL,
  reason TEXT NOT NULL,
  why TEXT NOT NULL,
  answer_key TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX hands_untold ON hands (at) WHERE told = 0;
CREATE INDEX hands_answer ON hands (answer_key) WHERE answer_key <> '';
