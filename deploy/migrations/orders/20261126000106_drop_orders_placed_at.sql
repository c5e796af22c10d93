-- migrate:up transaction:false
-- step: contract
DROP INDEX CONCURRENTLY orders_placed_at;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY orders_placed_at ON orders (placed_at DESC, id DESC);
