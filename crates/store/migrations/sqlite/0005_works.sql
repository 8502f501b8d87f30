-- Renewals of our own, one row a certificate and generation. Its twin is ../postgres/0005_works.sql.
-- next: nothing is done before it. holder: who works on it, alone, until held_until. version: changes with every write.
CREATE TABLE work (
  name TEXT NOT NULL, generation BIGINT NOT NULL, state TEXT NOT NULL, next BIGINT NOT NULL,
  holder TEXT, held_until BIGINT, version BIGINT NOT NULL, changed BIGINT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (name, generation)
);
