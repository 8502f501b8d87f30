-- Renewals of our own, one row a certificate and generation. Its twin is ../sqlite/0005_works.sql.
-- next: nothing is done before it. holder: who works on it, alone, until held_until. version: changes with every write.
CREATE TABLE work (
  name TEXT COLLATE "C" NOT NULL, generation BIGINT NOT NULL, state TEXT COLLATE "C" NOT NULL, next BIGINT NOT NULL,
  holder TEXT COLLATE "C", held_until BIGINT, version BIGINT NOT NULL, changed BIGINT NOT NULL, body TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (name, generation)
);
