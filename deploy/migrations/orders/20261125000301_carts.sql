-- migrate:up
-- step: expand

-- The price of one when the customer last wrote the line; NULL: not known. Only for saying that it has changed since.
ALTER TABLE cart_lines ADD COLUMN unit_price bigint;

-- Counts the changes of shipping methods and tax rates. Workers keep both in memory and ask for this number in the round trip
-- that they make anyway.
CREATE TABLE reference_revision (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT reference_revision_only_row CHECK (only_row),
    revision bigint NOT NULL
);
INSERT INTO reference_revision (revision) VALUES (1);

CREATE FUNCTION count_reference_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reference_revision SET revision = revision + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER count_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON shipping_methods
    FOR EACH STATEMENT EXECUTE FUNCTION count_reference_revision();
CREATE TRIGGER count_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tax_rates
    FOR EACH STATEMENT EXECUTE FUNCTION count_reference_revision();

-- migrate:down

DROP TRIGGER count_revision ON tax_rates;
DROP TRIGGER count_revision ON shipping_methods;
DROP FUNCTION count_reference_revision();
DROP TABLE reference_revision;
ALTER TABLE cart_lines DROP COLUMN unit_price;
