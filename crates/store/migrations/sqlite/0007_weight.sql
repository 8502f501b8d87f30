-- What breaks with a finding orders those that are equally bad: who weighs most stands first, so it is negated. What
-- was kept before weighs nothing until it is judged again. Its twin is ../postgres/0007_weight.sql.
ALTER TABLE finding ADD COLUMN weight BIGINT NOT NULL DEFAULT 0;
DROP INDEX finding_open;
CREATE INDEX finding_open ON finding (severity, weight, deadline, id) WHERE resolved IS NULL;
