-- What renewers say of their lineages, as JSON. Its twin is ../postgres/0003_renewals.sql.
-- state: a hash of the file that says it, to which the links of its certificates lead; name: of all that tells it from
-- others. seen: when it was last found changed; looking again and finding the same writes nothing.
CREATE TABLE renewal (
  id INTEGER PRIMARY KEY, state BIGINT NOT NULL, name BIGINT NOT NULL, body TEXT NOT NULL,
  source BIGINT NOT NULL, seen BIGINT NOT NULL, gone BIGINT
);
CREATE INDEX renewal_state ON renewal (state);
CREATE INDEX renewal_name ON renewal (name);
