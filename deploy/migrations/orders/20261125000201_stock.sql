-- migrate:up
-- step: expand

-- ---- following the catalogue ----

-- One orders worker at a time brings prices and names from the catalogue into skus. It holds this row for a while (expires_at)
-- and says which holding it means (epoch) with every write: who was frozen and overtaken writes nothing any more.
CREATE TABLE follower_lease (
    id integer PRIMARY KEY DEFAULT 1 CONSTRAINT follower_lease_one CHECK (id = 1),
    holder text COLLATE "C" NOT NULL DEFAULT '',
    epoch bigint NOT NULL DEFAULT 0,            -- counts holdings
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    record text COLLATE "C" NOT NULL DEFAULT '',    -- the catalogue's database that checkpoint counts in
    checkpoint bigint NOT NULL DEFAULT 0,       -- all its revisions up to here are in skus
    -- Another database: every SKU's revision is set to 0, all is loaded again, and what is still at 0 is not sold any more.
    phase text NOT NULL DEFAULT 'follow' CONSTRAINT follower_lease_phase CHECK (phase IN ('reset', 'load', 'follow')),
    identity text COLLATE "C" NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', '')   -- names this database
);
INSERT INTO follower_lease DEFAULT VALUES;

-- Changes of a page, in one call, so that no client keeps locks while it is frozen. Products by position; SKUs with the
-- position of their product in p_owners. False: not the holder any more, or the checkpoint is another. taken: SKUs that
-- belong to another product, which they stay bound to.
CREATE FUNCTION follower_apply(p_epoch bigint, p_after bigint, p_next bigint,
    p_products text[], p_revisions bigint[], p_actives boolean[], p_slugs text[], p_names text[], p_taxes text[],
    p_skus text[], p_owners bigint[], p_variants text[], p_prices bigint[], p_currencies text[], p_options text[])
RETURNS TABLE (held boolean, taken text[]) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM follower_lease WHERE epoch = p_epoch AND checkpoint = p_after AND phase <> 'reset' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, '{}'::text[];
        RETURN;
    END IF;
    -- The lock order of all who touch stock; the statements below may then come in theirs.
    PERFORM FROM skus WHERE sku = ANY (p_skus) OR product_id = ANY (p_products) ORDER BY sku FOR NO KEY UPDATE;
    INSERT INTO skus (sku, product_id, variant_id, product_slug, name, option_values, price, currency, tax_category, sellable, revision)
    SELECT DISTINCT ON (u.sku) u.sku, p_products[u.owner], u.variant, p_slugs[u.owner], p_names[u.owner], u.options::jsonb,
        u.price, u.currency, p_taxes[u.owner], p_actives[u.owner], p_revisions[u.owner]
    FROM unnest(p_skus COLLATE "C", p_owners, p_variants, p_prices, p_currencies, p_options)
        AS u (sku, owner, variant, price, currency, options)
    ORDER BY u.sku, p_revisions[u.owner] DESC
    ON CONFLICT (sku) DO UPDATE SET product_id = EXCLUDED.product_id, variant_id = EXCLUDED.variant_id,
        product_slug = EXCLUDED.product_slug, name = EXCLUDED.name, option_values = EXCLUDED.option_values,
        price = EXCLUDED.price, currency = EXCLUDED.currency, tax_category = EXCLUDED.tax_category,
        sellable = EXCLUDED.sellable, revision = EXCLUDED.revision, updated_at = now()
    WHERE skus.revision < EXCLUDED.revision AND (skus.product_id = EXCLUDED.product_id OR skus.revision = 0);
    -- What of these products was not in the page has been dropped.
    UPDATE skus SET sellable = false, revision = c.revision, updated_at = now()
    FROM unnest(p_products, p_revisions) AS c (product_id, revision)
    WHERE skus.product_id = c.product_id AND skus.revision < c.revision;
    UPDATE follower_lease SET checkpoint = p_next;
    RETURN QUERY SELECT true, ARRAY(
        SELECT s.sku::text FROM unnest(p_skus, p_owners) AS u (sku, owner) JOIN skus s ON s.sku = u.sku
        WHERE s.product_id <> p_products[u.owner] ORDER BY 1);
END $$;

-- Another catalogue: begins to count anew. From none to the first one there is nothing to forget.
CREATE FUNCTION follower_begin(p_epoch bigint, p_record text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE follower_lease SET checkpoint = 0, record = p_record, phase = CASE record WHEN '' THEN 'follow' ELSE 'reset' END
    WHERE epoch = p_epoch;
    RETURN FOUND;
END $$;

-- A slice of SKUs behind p_after; its last one, NULL at the end (the next phase has begun) or when it is not held.
CREATE FUNCTION follower_reset(p_epoch bigint, p_after text, p_limit bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_skus text[];
BEGIN
    PERFORM FROM follower_lease WHERE epoch = p_epoch AND phase = 'reset' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_skus := ARRAY(SELECT sku FROM skus WHERE sku > p_after ORDER BY sku LIMIT p_limit FOR NO KEY UPDATE);
    UPDATE skus SET revision = 0 WHERE sku = ANY (v_skus);
    IF v_skus = '{}' THEN
        UPDATE follower_lease SET phase = 'load';
    END IF;
    RETURN v_skus[cardinality(v_skus)];
END $$;

CREATE FUNCTION follower_sweep(p_epoch bigint, p_after text, p_limit bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_skus text[];
BEGIN
    PERFORM FROM follower_lease WHERE epoch = p_epoch AND phase = 'load' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_skus := ARRAY(SELECT sku FROM skus WHERE sku > p_after ORDER BY sku LIMIT p_limit FOR NO KEY UPDATE);
    UPDATE skus SET sellable = false, updated_at = now() WHERE sku = ANY (v_skus) AND revision = 0 AND sellable;
    IF v_skus = '{}' THEN
        UPDATE follower_lease SET phase = 'follow';
    END IF;
    RETURN v_skus[cardinality(v_skus)];
END $$;

-- ---- availability ----

-- 0: none, 1: low, 2: in stock.
CREATE FUNCTION stock_level(sellable boolean, on_hand bigint, reserved bigint, low_at bigint) RETURNS smallint
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN NOT sellable OR on_hand <= reserved THEN 0 WHEN on_hand - reserved <= low_at THEN 1 ELSE 2 END::smallint;

-- The level that is told to others, and the transaction that made it so: who remembers the oldest transaction that ran when
-- it asked (pg_snapshot_xmin), and asks for this one and later ones, misses none, in whatever order they commit.
ALTER TABLE skus ADD COLUMN level smallint NOT NULL DEFAULT -1, ADD COLUMN level_tx bigint NOT NULL DEFAULT 0;

CREATE FUNCTION skus_set_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.level := stock_level(NEW.sellable, NEW.on_hand, NEW.reserved, NEW.low_at);
    NEW.level_tx := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
-- A change within a level costs a comparison.
CREATE TRIGGER set_level BEFORE INSERT OR UPDATE ON skus FOR EACH ROW
    WHEN (NEW.level <> stock_level(NEW.sellable, NEW.on_hand, NEW.reserved, NEW.low_at))
    EXECUTE FUNCTION skus_set_level();

-- migrate:down

DROP TRIGGER set_level ON skus;
DROP FUNCTION skus_set_level();
ALTER TABLE skus DROP COLUMN level, DROP COLUMN level_tx;
DROP FUNCTION stock_level(boolean, bigint, bigint, bigint);
DROP FUNCTION follower_sweep(bigint, text, bigint);
DROP FUNCTION follower_reset(bigint, text, bigint);
DROP FUNCTION follower_begin(bigint, text);
DROP FUNCTION follower_apply(bigint, bigint, bigint, text[], bigint[], boolean[], text[], text[], text[], text[], bigint[],
    text[], bigint[], text[], text[]);
DROP TABLE follower_lease;
