-- migrate:up transaction:false
-- step: expand
CREATE INDEX CONCURRENTLY orders_subject_id ON orders (subject, id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY orders_subject_id;
