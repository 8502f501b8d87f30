-- Endpoints that ask for a client certificate (bit 4 of `flags`, set when they are looked at the next time): few among many,
-- wanted whenever a certificate is judged that may be shown to them. Its twin is ../sqlite/0008_asks.sql.
CREATE INDEX placement_asks ON placement (id) WHERE gone IS NULL AND (flags & 4) <> 0;
