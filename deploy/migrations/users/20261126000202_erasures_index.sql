-- migrate:up transaction:false
-- step: expand
CREATE UNIQUE INDEX CONCURRENTLY users_erased_number ON users (erased_number) WHERE erased_number IS NOT NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY users_erased_number;
