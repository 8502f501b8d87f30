-- What ended while it was in use: remembered beside the asset, because it raises what is said of the next of its line or
-- of its names. names6 and title6: hashes of its names and of what it is called. Its twin is ../sqlite/0004_lapses.sql.
CREATE TABLE lapse (
  asset BIGINT PRIMARY KEY, names6 BIGINT, title6 BIGINT NOT NULL, lineage BIGINT, at BIGINT NOT NULL
);
CREATE INDEX lapse_names ON lapse (names6);
CREATE INDEX lapse_title ON lapse (title6);
CREATE INDEX lapse_line ON lapse (lineage);
