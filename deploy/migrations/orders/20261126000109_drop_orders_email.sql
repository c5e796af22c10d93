-- migrate:up transaction:false
-- step: contract
DROP INDEX CONCURRENTLY orders_email;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY orders_email ON orders (lower(email), placed_at DESC, id DESC);
