-- What retention.orders has deleted: so many rows, by the state they ended in.

CREATE TABLE retired (state TEXT PRIMARY KEY, rows_deleted INTEGER NOT NULL);
