-- migrate:up transaction:false
-- step: expand
CREATE INDEX CONCURRENTLY skus_level_tx ON skus (level_tx, sku);

-- migrate:down transaction:false
DROP INDEX skus_level_tx;
