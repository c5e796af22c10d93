-- migrate:up transaction:false
-- step: contract
DROP INDEX CONCURRENTLY orders_by_status;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY orders_by_status ON orders (status, placed_at DESC, id DESC);
