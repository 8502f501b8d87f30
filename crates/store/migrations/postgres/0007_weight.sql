-- The twin of ../sqlite/0007_weight.sql.
ALTER TABLE finding ADD COLUMN weight BIGINT NOT NULL DEFAULT 0;
DROP INDEX finding_open;
CREATE INDEX finding_open ON finding (severity, weight, deadline, id) WHERE resolved IS NULL;
