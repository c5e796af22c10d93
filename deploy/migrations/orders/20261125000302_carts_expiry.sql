-- migrate:up transaction:false
-- step: expand

-- The purge looks at carts of every status: what was ordered or merged is gone with its time too.
CREATE INDEX CONCURRENTLY carts_expiry ON carts (expires_at);

-- migrate:down transaction:false

DROP INDEX CONCURRENTLY carts_expiry;
