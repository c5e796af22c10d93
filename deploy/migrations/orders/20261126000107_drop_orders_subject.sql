-- migrate:up transaction:false
-- step: contract
DROP INDEX CONCURRENTLY orders_subject;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY orders_subject ON orders (subject, placed_at DESC, id DESC);
