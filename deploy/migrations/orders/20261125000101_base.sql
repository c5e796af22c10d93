-- migrate:up
-- step: expand

-- Everything of the orders service. Keys compare by bytes (COLLATE "C"), as in C and in every lock order. Money is bigint
-- in minor units. Rows that only the functions of the next migrations write, all of one order in one transaction, carry no
-- foreign keys: those would cost a trigger and a lock for each line of an order.

-- ---- stock ----

CREATE TABLE skus (
    sku text COLLATE "C" PRIMARY KEY,
    product_id text COLLATE "C" NOT NULL,
    variant_id text NOT NULL,
    product_slug text NOT NULL,
    name text NOT NULL,
    option_values jsonb NOT NULL DEFAULT '{}',
    price bigint NOT NULL CONSTRAINT skus_price_in_bounds CHECK (price BETWEEN 0 AND 1000000000000),
    currency text NOT NULL,
    tax_category text NOT NULL DEFAULT 'standard',
    sellable boolean NOT NULL,
    revision bigint NOT NULL,
    on_hand bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    low_at bigint NOT NULL DEFAULT 5,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT skus_stock_in_bounds CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 70);   -- reserved changes with every order: room for the new version on the same page
CREATE INDEX skus_product_id ON skus (product_id);

-- Every change of on_hand is a row: sum(delta) = on_hand.
CREATE TABLE stock_ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text COLLATE "C" NOT NULL,
    delta bigint NOT NULL,
    reason text NOT NULL CONSTRAINT stock_ledger_reason CHECK (reason IN ('receive', 'adjust', 'set', 'sale', 'return')),
    note text,
    order_id text COLLATE "C",
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stock_ledger_sku ON stock_ledger (sku, id);

-- ---- carts, and what totals are made of ----

CREATE TABLE carts (
    id text COLLATE "C" PRIMARY KEY,            -- cart_ + ULID
    subject text COLLATE "C" NOT NULL,          -- usr_... or gst_...
    version bigint NOT NULL DEFAULT 1,
    status text NOT NULL DEFAULT 'open' CONSTRAINT carts_status CHECK (status IN ('open', 'ordered', 'merged')),
    email text,
    shipping_address jsonb,
    shipping_method text,
    discount_code text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX carts_subject ON carts (subject, updated_at DESC);
CREATE INDEX carts_expires_at ON carts (expires_at) WHERE status = 'open';

CREATE TABLE cart_lines (
    cart_id text COLLATE "C" NOT NULL REFERENCES carts (id) ON DELETE CASCADE,
    sku text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL CONSTRAINT cart_lines_quantity CHECK (quantity BETWEEN 1 AND 999),
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, sku)
);

CREATE TABLE shipping_methods (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    price bigint NOT NULL CONSTRAINT shipping_methods_price CHECK (price BETWEEN 0 AND 1000000000000),
    free_above bigint CONSTRAINT shipping_methods_free_above CHECK (free_above BETWEEN 0 AND 1000000000000),
    countries text[] NOT NULL DEFAULT '{}',     -- none: everywhere
    active boolean NOT NULL DEFAULT true,
    position integer NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Category 'standard' is the fall-back; shipping is taxed as 'shipping', else as 'standard'.
CREATE TABLE tax_rates (
    country text COLLATE "C" NOT NULL CONSTRAINT tax_rates_country CHECK (country ~ '^[A-Z]{2}$'),
    category text COLLATE "C" NOT NULL,
    rate_ppm bigint NOT NULL CONSTRAINT tax_rates_rate CHECK (rate_ppm BETWEEN 0 AND 1000000),
    inclusive boolean NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (country, category)
);

CREATE TABLE discount_codes (
    code text COLLATE "C" PRIMARY KEY,          -- upper case
    kind text NOT NULL CONSTRAINT discount_codes_kind CHECK (kind IN ('percent', 'fixed')),
    value bigint NOT NULL CONSTRAINT discount_codes_value
        CHECK (value BETWEEN 1 AND CASE kind WHEN 'percent' THEN 1000000 ELSE 1000000000000 END),
    minimum bigint NOT NULL DEFAULT 0 CONSTRAINT discount_codes_minimum CHECK (minimum >= 0),
    starts_at timestamptz,
    ends_at timestamptz,
    limit_total bigint CONSTRAINT discount_codes_limit_total CHECK (limit_total >= 0),
    limit_per_customer bigint CONSTRAINT discount_codes_limit_per_customer CHECK (limit_per_customer >= 1),
    used bigint NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,          -- of what is declared; a use does not count it up
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT discount_codes_used_in_bounds CHECK (used >= 0 AND used <= limit_total)
) WITH (fillfactor = 70);

-- Goes when the order is cancelled or expires.
CREATE TABLE discount_uses (
    order_id text COLLATE "C" PRIMARY KEY,
    code text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL          -- the order's email, folded
);
CREATE INDEX discount_uses_customer ON discount_uses (code, customer);

-- ---- orders ----

CREATE SEQUENCE order_number START 100001;

CREATE TABLE orders (
    id text COLLATE "C" PRIMARY KEY,            -- ord_ + ULID
    number bigint NOT NULL CONSTRAINT orders_number UNIQUE,
    subject text COLLATE "C" NOT NULL,
    client_address text COLLATE "C",            -- a guest's network, while the order waits for its payment; NULL: not counted
    cart_id text COLLATE "C",
    email text NOT NULL,
    status text NOT NULL CONSTRAINT orders_status
        CHECK (status IN ('placed', 'confirmed', 'completed', 'cancelled', 'expired')),
    payment_status text NOT NULL CONSTRAINT orders_payment_status CHECK (payment_status IN ('pending', 'paid', 'voided')),
    fulfilment_status text NOT NULL CONSTRAINT orders_fulfilment_status
        CHECK (fulfilment_status IN ('unfulfilled', 'partial', 'fulfilled', 'void')),
    currency text NOT NULL,
    items_total bigint NOT NULL,
    discount_total bigint NOT NULL,
    shipping_total bigint NOT NULL,
    tax_total bigint NOT NULL,
    grand_total bigint NOT NULL,
    taxes_included boolean NOT NULL DEFAULT false,
    discount_code text COLLATE "C",
    shipping_method text NOT NULL,
    shipping_name text NOT NULL,
    shipping_address jsonb NOT NULL,
    payment_method text NOT NULL CONSTRAINT orders_payment_method CHECK (payment_method IN ('manual')),
    version bigint NOT NULL DEFAULT 1,
    placed_at timestamptz NOT NULL,
    expires_at timestamptz,                     -- when it stops waiting for its payment
    paid_at timestamptz,
    cancelled_at timestamptz,
    updated_at timestamptz NOT NULL,
    CONSTRAINT orders_totals_in_bounds CHECK (items_total >= 0 AND discount_total >= 0 AND shipping_total >= 0
        AND tax_total >= 0 AND grand_total >= 0)
) WITH (fillfactor = 80);
-- A cart is checked out again only after its order was cancelled or has expired.
CREATE UNIQUE INDEX orders_cart_live ON orders (cart_id) WHERE cart_id IS NOT NULL AND status NOT IN ('cancelled', 'expired');
CREATE INDEX orders_subject ON orders (subject, placed_at DESC, id DESC);
CREATE INDEX orders_placed_at ON orders (placed_at DESC, id DESC);
CREATE INDEX orders_by_status ON orders (status, placed_at DESC, id DESC);
CREATE INDEX orders_email ON orders (lower(email), placed_at DESC, id DESC);
-- An order that waits for its payment expires, and counts against its client and, of a guest, against the network that the
-- guest came from. The predicates differ on purpose: plans are cached while the tables are empty and all indexes cost the
-- same, so each question must fit one index only.
CREATE INDEX orders_expires_at ON orders (expires_at) WHERE status = 'placed' AND expires_at IS NOT NULL;
CREATE INDEX orders_unpaid ON orders (subject) WHERE payment_status = 'pending';
CREATE INDEX orders_client_address ON orders (client_address) WHERE client_address IS NOT NULL;

CREATE TABLE order_lines (
    order_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,                      -- from 1
    sku text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    option_values jsonb NOT NULL DEFAULT '{}',
    quantity bigint NOT NULL CONSTRAINT order_lines_quantity CHECK (quantity >= 1),
    unit_price bigint NOT NULL,
    discount bigint NOT NULL,
    tax bigint NOT NULL,
    tax_rate_ppm bigint NOT NULL,
    total bigint NOT NULL,
    fulfilled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, line),
    CONSTRAINT order_lines_fulfilled_in_bounds CHECK (fulfilled BETWEEN 0 AND quantity)
) WITH (fillfactor = 90);
CREATE INDEX order_lines_sku ON order_lines (sku);

CREATE TABLE order_events (
    order_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,                   -- the order's version that it made
    type text NOT NULL,
    actor text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, sequence)
);

CREATE TABLE fulfilments (
    id text COLLATE "C" PRIMARY KEY,            -- ful_ + ULID
    order_id text COLLATE "C" NOT NULL REFERENCES orders (id),
    carrier text,
    tracking text,
    created_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL
);
CREATE INDEX fulfilments_order_id ON fulfilments (order_id, id);

CREATE TABLE fulfilment_lines (
    fulfilment_id text COLLATE "C" NOT NULL REFERENCES fulfilments (id),
    line integer NOT NULL,
    quantity bigint NOT NULL CONSTRAINT fulfilment_lines_quantity CHECK (quantity >= 1),
    PRIMARY KEY (fulfilment_id, line)
);

-- ---- what every service on PostgreSQL has ----

CREATE TABLE idempotency (
    subject text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    reply bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, method, key)
) WITH (toast_tuple_target = 8160);     -- replies of 2 to 8 kB stay in the row as they are: compressing them costs more
CREATE INDEX idempotency_created_at ON idempotency (created_at);

CREATE TABLE outbox (
    id text COLLATE "C" PRIMARY KEY,            -- evt_ + ULID
    type text NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,                   -- per aggregate, from 1
    payload jsonb NOT NULL,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT outbox_aggregate_sequence UNIQUE (aggregate, sequence)
);

CREATE TABLE audit (
    id text COLLATE "C" PRIMARY KEY,            -- aud_ + ULID
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    before jsonb,
    after jsonb,
    request_id text
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_target ON audit (target, at);

-- ---- append-only ----

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_ledger EXECUTE FUNCTION refuse_change();
-- The service's role loses the right as well; where the role does not exist (a scratch database) there is nothing to take.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'souk_orders') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON audit, order_events, stock_ledger FROM souk_orders;
    END IF;
END $$;

-- ---- the books: must be empty ----

CREATE VIEW stock_imbalances AS
SELECT 'on_hand' AS what, COALESCE(s.sku, l.sku) AS id, COALESCE(s.on_hand, 0) AS actual, COALESCE(l.total, 0) AS expected
FROM skus s
FULL JOIN (SELECT sku, sum(delta)::bigint AS total FROM stock_ledger GROUP BY sku) l ON l.sku = s.sku
WHERE COALESCE(s.on_hand, 0) <> COALESCE(l.total, 0)
UNION ALL
SELECT 'reserved', COALESCE(s.sku, r.sku), COALESCE(s.reserved, 0), COALESCE(r.total, 0)
FROM skus s
FULL JOIN (
    SELECT ol.sku, sum(ol.quantity)::bigint AS total
    FROM orders o JOIN order_lines ol ON ol.order_id = o.id
    WHERE o.status = 'placed' GROUP BY ol.sku
) r ON r.sku = s.sku
WHERE COALESCE(s.reserved, 0) <> COALESCE(r.total, 0)
UNION ALL
SELECT 'discount', COALESCE(d.code, u.code), COALESCE(d.used, 0), COALESCE(u.total, 0)
FROM discount_codes d
FULL JOIN (SELECT code, count(*) AS total FROM discount_uses GROUP BY code) u ON u.code = d.code
WHERE COALESCE(d.used, 0) <> COALESCE(u.total, 0);

-- migrate:down

DROP VIEW stock_imbalances;
DROP TABLE audit, outbox, idempotency, fulfilment_lines, fulfilments, order_events, order_lines, orders, discount_uses,
    discount_codes, tax_rates, shipping_methods, cart_lines, carts, stock_ledger, skus;
DROP SEQUENCE order_number;
DROP FUNCTION refuse_change();
