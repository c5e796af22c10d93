-- migrate:up transaction:false
-- step: expand
CREATE INDEX CONCURRENTLY orders_status_id ON orders (status, id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY orders_status_id;
