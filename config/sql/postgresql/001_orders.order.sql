-- The orders (key is the order_id; a read model) and their history, which is the truth.
-- fillfactor leaves room for updates in the same page, which then touch no index.

CREATE TABLE orders (
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
CREATE INDEX orders_open ON orders (partition) WHERE open = 1;
CREATE INDEX orders_owner ON orders (owner, key);
-- Rare ends only: an index of every state would double the price of an update, and so would NOT IN here.
CREATE INDEX orders_ended ON orders (state, key) WHERE state <> 'pending' AND state <> 'inventory_reserved'
  AND state <> 'paid' AND state <> 'shipped' AND state <> 'unknown';

CREATE TABLE transitions (
  order_id TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  status TEXT NOT NULL,
  event TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (order_id, version)
);
