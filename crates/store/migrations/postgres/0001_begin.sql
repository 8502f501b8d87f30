-- Assets, places, findings, alerts: all of the first schema. Its twin is ../sqlite/0001_begin.sql.
-- Times are seconds since 1970; 'never' is the greatest number, so that an index orders it last.
-- What may be long (a path, a chain) stands in no index, where PostgreSQL has room for 2,704 bytes: its hash does, and
-- who finds by a short hash compares the whole.

-- Short words that stand in many rows: key labels, owners, formats.
CREATE TABLE word (id BIGINT PRIMARY KEY, hash BIGINT NOT NULL, text TEXT COLLATE "C" NOT NULL);
CREATE INDEX word_hash ON word (hash);

-- Distinguished names: as RFC 4514 text, the part a person calls it by, both in lower case for search, a hash that is
-- equal for names that match by RFC 5280, and the first certificate below it (dictionary for the others).
CREATE TABLE dname (
  id BIGINT PRIMARY KEY, text TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT COLLATE "C" NOT NULL, folded TEXT COLLATE "C" NOT NULL,
  alike BIGINT NOT NULL, base BIGINT
);
CREATE INDEX dname_alike ON dname (alike);

-- fp8 and fp24 are the SHA-256; fp8 has its sign turned so that its order is that of the bytes.
CREATE TABLE asset (
  id BIGINT PRIMARY KEY, fp8 BIGINT NOT NULL, fp24 BYTEA NOT NULL,
  kind BIGINT NOT NULL, flags BIGINT NOT NULL,
  not_before BIGINT, not_after BIGINT NOT NULL,
  key6 BIGINT, names6 BIGINT, issuer BIGINT, subject BIGINT,
  title TEXT COLLATE "C" NOT NULL, label BIGINT,
  lineage BIGINT, owner BIGINT,
  places BIGINT NOT NULL, served BIGINT NOT NULL, unseen BIGINT NOT NULL,
  severity BIGINT, findings BIGINT NOT NULL,
  first_seen BIGINT NOT NULL, judge_at BIGINT
);
CREATE INDEX asset_fp8 ON asset (fp8);
CREATE INDEX asset_ends ON asset (not_after, id) WHERE places > 0;
CREATE INDEX asset_names ON asset (names6);
CREATE INDEX asset_issuer ON asset (issuer, not_after);
CREATE INDEX asset_subject ON asset (subject) WHERE subject IS NOT NULL;
CREATE INDEX asset_line ON asset (lineage) WHERE lineage IS NOT NULL;
CREATE INDEX asset_due ON asset (judge_at) WHERE judge_at IS NOT NULL;

CREATE TABLE der (asset BIGINT PRIMARY KEY, base BIGINT, length BIGINT NOT NULL, bytes BYTEA NOT NULL);

-- DNS names with their labels in reverse order, and IP addresses.
CREATE TABLE name (name TEXT COLLATE "C" NOT NULL, asset BIGINT NOT NULL, PRIMARY KEY (name, asset));

-- spot: 32 bits of what belongs together (a server name on a port, a folder, an address), 16 of the text.
CREATE TABLE location (id BIGINT PRIMARY KEY, spot BIGINT NOT NULL, text TEXT COLLATE "C" NOT NULL);
CREATE INDEX location_spot ON location (spot);

-- Chains without their leaf: asset numbers, eight bytes each.
CREATE TABLE chain (id BIGINT PRIMARY KEY, hash BIGINT NOT NULL, members BYTEA NOT NULL);
CREATE INDEX chain_hash ON chain (hash);
CREATE TABLE facts (id BIGINT PRIMARY KEY, hash BIGINT NOT NULL, json TEXT COLLATE "C" NOT NULL);
CREATE INDEX facts_hash ON facts (hash);

-- Intervals: from first_seen until gone; unseen_since while it is looked for in vain. flags: 1 endpoint, 2 key proved.
CREATE TABLE placement (
  id BIGINT PRIMARY KEY, asset BIGINT NOT NULL, location BIGINT NOT NULL,
  role BIGINT NOT NULL, shown BIGINT, flags BIGINT NOT NULL, chain BIGINT, facts BIGINT NOT NULL, source BIGINT NOT NULL,
  first_seen BIGINT NOT NULL, unseen_since BIGINT, gone BIGINT
);
CREATE INDEX placement_asset ON placement (asset, gone);
CREATE INDEX placement_location ON placement (location, gone);

CREATE TABLE keyseen (
  id BIGINT PRIMARY KEY, location BIGINT NOT NULL, key_id BYTEA, key6 BIGINT, format TEXT COLLATE "C" NOT NULL, encrypted BIGINT NOT NULL,
  facts BIGINT NOT NULL, source BIGINT NOT NULL, first_seen BIGINT NOT NULL, gone BIGINT
);
CREATE INDEX keyseen_location ON keyseen (location, gone);
CREATE INDEX keyseen_key ON keyseen (key6);

-- from_file and to_address are hashes of the file without its fragment and of the address without the server name.
CREATE TABLE link (
  id BIGINT PRIMARY KEY, kind TEXT COLLATE "C" NOT NULL, from_place TEXT COLLATE "C" NOT NULL, to_place TEXT COLLATE "C" NOT NULL,
  from_file BIGINT NOT NULL, to_address BIGINT NOT NULL, evidence TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL, first_seen BIGINT NOT NULL, gone BIGINT
);
CREATE INDEX link_from ON link (from_file);
CREATE INDEX link_to ON link (to_address);

CREATE TABLE blind (
  id BIGINT PRIMARY KEY, location BIGINT NOT NULL, reason TEXT COLLATE "C" NOT NULL, detail TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL, since BIGINT NOT NULL, gone BIGINT
);
CREATE INDEX blind_location ON blind (location, gone);
CREATE INDEX blind_source ON blind (source, gone);

-- looked: when the last complete run began. going, cursor and seen belong to a run that goes on.
CREATE TABLE source (
  id BIGINT PRIMARY KEY, name TEXT COLLATE "C" NOT NULL, vantage TEXT COLLATE "C" NOT NULL, removed BIGINT NOT NULL,
  last_started BIGINT, last_finished BIGINT, last_success BIGINT, looked BIGINT, next BIGINT, fault TEXT COLLATE "C",
  attempted BIGINT NOT NULL, reached BIGINT NOT NULL, unreachable BIGINT NOT NULL, files BIGINT NOT NULL,
  placements BIGINT NOT NULL, blind_spots BIGINT NOT NULL,
  going BIGINT, position BYTEA, seen BYTEA
);
CREATE TABLE run (
  id BIGINT PRIMARY KEY, source BIGINT NOT NULL, started BIGINT NOT NULL, finished BIGINT NOT NULL, complete BIGINT NOT NULL,
  fault TEXT COLLATE "C", attempted BIGINT NOT NULL, reached BIGINT NOT NULL, unreachable BIGINT NOT NULL, files BIGINT NOT NULL,
  new_assets BIGINT NOT NULL, changed BIGINT NOT NULL
);
CREATE INDEX run_source ON run (source, started);
CREATE TABLE retired (location BIGINT PRIMARY KEY, at BIGINT NOT NULL, reason TEXT COLLATE "C" NOT NULL, who TEXT COLLATE "C" NOT NULL);

-- Counts of everything, changed with everything.
CREATE TABLE total (name TEXT COLLATE "C" PRIMARY KEY, count BIGINT NOT NULL);

-- Subjects that are no assets; an asset's instant stands in its row. Below zero: touched, and by which change.
CREATE TABLE subject_due (key BYTEA PRIMARY KEY, subject TEXT COLLATE "C" NOT NULL, judge_at BIGINT NOT NULL);
CREATE INDEX subject_due_at ON subject_due (judge_at);
-- Owners given by hand, for a whole line.
CREATE TABLE owned (lineage BIGINT PRIMARY KEY, owner BIGINT NOT NULL);
-- Owners by rule, kept while a hand's holds.
CREATE TABLE ruled (asset BIGINT PRIMARY KEY, owner BIGINT);

CREATE TABLE finding (
  id TEXT COLLATE "C" PRIMARY KEY, kind TEXT COLLATE "C" NOT NULL, severity BIGINT NOT NULL, asset BIGINT, owner TEXT COLLATE "C", deadline BIGINT NOT NULL,
  opened BIGINT NOT NULL, resolved BIGINT, body TEXT COLLATE "C" NOT NULL
);
CREATE INDEX finding_open ON finding (severity, deadline, id) WHERE resolved IS NULL;
CREATE INDEX finding_asset ON finding (asset);
CREATE INDEX finding_resolved ON finding (resolved, id) WHERE resolved IS NOT NULL;
CREATE TABLE finding_part (
  key BYTEA NOT NULL, finding TEXT COLLATE "C" NOT NULL, subject TEXT COLLATE "C" NOT NULL, body TEXT COLLATE "C" NOT NULL, PRIMARY KEY (key, finding)
);
CREATE INDEX finding_part_finding ON finding_part (finding);
CREATE TABLE finding_place (place BIGINT NOT NULL, finding TEXT COLLATE "C" NOT NULL, PRIMARY KEY (place, finding));
CREATE INDEX finding_place_finding ON finding_place (finding);

CREATE TABLE alert (
  number BIGINT PRIMARY KEY, version BIGINT NOT NULL, joined TEXT COLLATE "C" NOT NULL, owner TEXT COLLATE "C" NOT NULL, state TEXT COLLATE "C" NOT NULL,
  changed BIGINT NOT NULL, body TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX alert_joined ON alert (joined) WHERE state <> 'resolved';
CREATE INDEX alert_changed ON alert (changed);
CREATE TABLE alert_member (finding TEXT COLLATE "C" NOT NULL, alert BIGINT NOT NULL, PRIMARY KEY (finding, alert));
CREATE TABLE outbox (
  id TEXT COLLATE "C" PRIMARY KEY, number BIGINT NOT NULL, alert BIGINT, state TEXT COLLATE "C" NOT NULL, next BIGINT NOT NULL, body TEXT COLLATE "C" NOT NULL
);
CREATE INDEX outbox_due ON outbox (next, number) WHERE state IN ('pending', 'late');
CREATE INDEX outbox_alert ON outbox (alert, number);
CREATE INDEX outbox_number ON outbox (number);
CREATE TABLE ack_link (hash BYTEA PRIMARY KEY, alert BIGINT NOT NULL, ends BIGINT NOT NULL, used BIGINT);
CREATE TABLE audit (
  id BIGINT PRIMARY KEY, at BIGINT NOT NULL, who TEXT COLLATE "C" NOT NULL, what TEXT COLLATE "C" NOT NULL, subject_hash BIGINT NOT NULL,
  subject TEXT COLLATE "C" NOT NULL, detail TEXT COLLATE "C" NOT NULL, hash BYTEA NOT NULL
);
CREATE INDEX audit_subject ON audit (subject_hash, id);
CREATE TABLE keep (name TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL, version BIGINT NOT NULL);
CREATE TABLE service_day (
  service TEXT COLLATE "C" NOT NULL, day BIGINT NOT NULL, good BIGINT NOT NULL, bad BIGINT NOT NULL, unknown BIGINT NOT NULL,
  PRIMARY KEY (service, day)
);
