-- One message about several alerts, one link for them, and what leaves are called. Its twin is ../postgres/0006_bundles.sql.
-- outbox_beside: the alerts of a message besides the one it stands with. ack_link.beside: those of a link, as a list in JSON.
-- called: what the subject of a leaf says beside its names, in lower case, for the search; most leaves have none.
CREATE TABLE outbox_beside (alert BIGINT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (alert, id)) WITHOUT ROWID;
CREATE INDEX outbox_beside_id ON outbox_beside (id);
ALTER TABLE ack_link ADD COLUMN beside TEXT;
CREATE TABLE called (asset INTEGER PRIMARY KEY, folded TEXT NOT NULL);
