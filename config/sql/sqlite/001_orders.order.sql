-- The orders (key is the order_id; a read model) and their history, which is the truth.

CREATE TABLE orders (
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
CREATE INDEX orders_open ON orders (partition) WHERE open = 1;
CREATE INDEX orders_owner ON orders (owner, key);
-- Rare ends only: an index of every state would double the price of an update, and so would NOT IN here.
CREATE INDEX orders_ended ON orders (state, key) WHERE state <> 'pending' AND state <> 'inventory_reserved'
  AND state <> 'paid' AND state <> 'shipped' AND state <> 'unknown';

CREATE TABLE transitions (
  order_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL,
  event TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (order_id, version)
) WITHOUT ROWID;
