-- migrate:up
-- step: expand
ALTER TABLE stock_ledger ADD COLUMN cause text;     -- of an adjustment: damaged, lost, ...

-- migrate:down
ALTER TABLE stock_ledger DROP COLUMN cause;
