-- migrate:up transaction:false
-- step: expand
CREATE INDEX CONCURRENTLY skus_low ON skus (sku) WHERE level < 2 AND sellable;

-- migrate:down transaction:false
DROP INDEX skus_low;
