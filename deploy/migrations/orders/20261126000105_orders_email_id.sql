-- migrate:up transaction:false
-- step: expand
CREATE INDEX CONCURRENTLY orders_email_id ON orders ((lower(email) COLLATE "C"), id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY orders_email_id;
