-- migrate:up
-- step: expand

-- The level is set after a change that moves it, by a second one. A trigger before the change would lock each row first, also
-- where the level stays, as it nearly always does when an order takes stock.
CREATE OR REPLACE FUNCTION skus_set_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE skus SET level = stock_level(sellable, on_hand, reserved, low_at), level_tx = pg_current_xact_id()::text::bigint
    WHERE sku = NEW.sku;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER set_level AFTER INSERT OR UPDATE ON skus FOR EACH ROW
    WHEN (NEW.level <> stock_level(NEW.sellable, NEW.on_hand, NEW.reserved, NEW.low_at))
    EXECUTE FUNCTION skus_set_level();

-- migrate:down
CREATE OR REPLACE FUNCTION skus_set_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.level := stock_level(NEW.sellable, NEW.on_hand, NEW.reserved, NEW.low_at);
    NEW.level_tx := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER set_level BEFORE INSERT OR UPDATE ON skus FOR EACH ROW
    WHEN (NEW.level <> stock_level(NEW.sellable, NEW.on_hand, NEW.reserved, NEW.low_at))
    EXECUTE FUNCTION skus_set_level();
