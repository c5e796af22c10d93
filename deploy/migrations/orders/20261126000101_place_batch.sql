-- migrate:up
-- step: expand
-- retires: place_orders, orders_placed_at, orders_subject, orders_by_status, orders_email

-- Placing again, for less: an order costs a row and two index entries fewer, and a batch of which every order can be placed is
-- decided by counting rows. What each step guards, and the order of the locks, are those of place_orders.

-- As before. All keys being new is the rule, and then the number of rows says it all.
CREATE OR REPLACE FUNCTION claim_keys(p_method text, p_subject text[], p_key text[], p_hash bytea[], p_reply bytea[], p_wait_ms bigint)
RETURNS boolean[] LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_claimed bigint;
BEGIN
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    INSERT INTO idempotency (subject, method, key, hash, reply)
    SELECT a.subject, p_method, a.key, a.hash, a.reply
    FROM unnest(p_subject, p_key, p_hash, p_reply) WITH ORDINALITY AS a(subject, key, hash, reply, i)
    WHERE a.key IS NOT NULL
    ORDER BY a.subject COLLATE "C", a.key COLLATE "C", a.i
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_claimed = ROW_COUNT;
    PERFORM set_config('lock_timeout', '0', true);
    IF v_claimed = cardinality(p_key) THEN
        RETURN array_fill(true, ARRAY[v_claimed::int]);
    END IF;
    -- The rows of this transaction are those just claimed; of twins in the call the first has them.
    RETURN ARRAY(
        SELECT a.key IS NULL OR (a.twin = 1 AND s.key IS NOT NULL)
        FROM (SELECT b.*, row_number() OVER (PARTITION BY b.subject COLLATE "C", b.key COLLATE "C" ORDER BY b.i) AS twin
            FROM unnest(p_subject, p_key) WITH ORDINALITY AS b(subject, key, i)) a
        LEFT JOIN idempotency s ON s.subject = a.subject AND s.method = p_method AND s.key = a.key
            AND s.xmin = pg_current_xact_id()::xid
        ORDER BY a.i);
END $$;

-- Of the names that come up here, those of which all that have come up cannot be let in: the positions of each, and how many
-- unpaid orders there are (p_max at most, more are not counted). p_kind is 'subject' or 'network'; NULL names are not counted.
CREATE FUNCTION crowded(p_kind text, p_name text[], p_max bigint)
RETURNS TABLE (orders bigint[], unpaid bigint) LANGUAGE sql STABLE AS $$
    SELECT b.orders, b.unpaid
    FROM (SELECT array_agg(a.i ORDER BY a.i) AS orders,
            CASE p_kind
            WHEN 'subject' THEN (SELECT count(*) FROM (
                SELECT FROM orders o WHERE o.subject = a.name AND o.payment_status = 'pending' LIMIT p_max) c)
            ELSE (SELECT count(*) FROM (SELECT FROM orders o WHERE o.client_address = a.name LIMIT p_max) c)
            END AS unpaid
        FROM unnest(p_name) WITH ORDINALITY AS a(name, i) WHERE a.name IS NOT NULL GROUP BY a.name) b
    WHERE b.unpaid + cardinality(b.orders) > p_max;
$$;

-- Each SKU gives all that is wanted of it, or nothing yet, and is locked either way; 0 is not wanted. p_sku is sorted: the plan is
-- a loop over the array with an index look-up for each. Of each that was found: at, its position; fits, whether it gave, which
-- updated_at remembers until it can be read; sound, whether it is as it was; what remains. enough: all of them gave, and are sound.
CREATE FUNCTION take_stock(p_sku text[], p_wanted bigint[], p_price bigint[], p_category text[], p_currency text, p_at timestamptz,
    OUT enough boolean, OUT at bigint[], OUT fits boolean[], OUT sound boolean[], OUT remaining bigint[]) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    WITH taken AS (
        UPDATE skus s SET
            reserved = s.reserved + CASE WHEN s.on_hand - s.reserved >= a.wanted THEN a.wanted ELSE 0 END,
            updated_at = CASE WHEN s.on_hand - s.reserved >= a.wanted THEN p_at ELSE p_at + interval '1 microsecond' END
        FROM unnest(p_sku, p_wanted, p_price, p_category) WITH ORDINALITY AS a(sku, wanted, price, category, i)
        WHERE s.sku = a.sku AND a.wanted > 0
        RETURNING a.i, s.updated_at = p_at AS fits, s.on_hand - s.reserved AS remaining,
            s.sellable AND s.price = a.price AND s.currency = p_currency AND s.tax_category = a.category AS sound
    )
    SELECT count(*) = cardinality(p_sku) AND COALESCE(bool_and(t.fits AND t.sound), true),
        array_agg(t.i), array_agg(t.fits), array_agg(t.sound), array_agg(t.remaining)
    INTO enough, at, fits, sound, remaining FROM taken t;
END $$;

-- Decides the orders that are still in (outcome is NULL) one after another, first come, first served: an order takes all that it
-- needs or nothing. Arrays as of place_batch; what there is: p_sku_left, and p_client_left, p_network_left,
-- p_code_left, p_use_left (NULL: no limit).
CREATE FUNCTION decide_batch(
    INOUT outcome text[], OUT at bigint[], OUT remaining bigint[], OUT sku_taken bigint[], OUT code_taken bigint[],
    p_cart bigint[],                                    -- the first order of its cart; NULL: no cart
    p_client bigint[], p_client_left bigint[],          -- which of the latter; NULL: not counted
    p_network bigint[], p_network_left bigint[],
    p_use bigint[], p_use_code bigint[], p_use_left bigint[], p_code_sound boolean[], p_code_left bigint[],
    p_lines bigint[], p_line_sku bigint[], p_line_quantity bigint[], p_sku_sound boolean[], p_sku_left bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    n CONSTANT int := cardinality(outcome);
    v_ordered boolean[] := array_fill(false, ARRAY[n]);     -- at the first order of a cart: it is taken
    v_first bigint;
    v_next bigint := 1;
    c bigint;
    l bigint;
    s bigint;
    u bigint;
BEGIN
    at := array_fill(NULL::bigint, ARRAY[n]);
    remaining := array_fill(NULL::bigint, ARRAY[n]);
    sku_taken := array_fill(0::bigint, ARRAY[cardinality(p_sku_left)]);
    code_taken := array_fill(0::bigint, ARRAY[cardinality(p_code_left)]);
    FOR k IN 1..n LOOP
        v_first := v_next;
        v_next := v_next + p_lines[k];
        CONTINUE WHEN outcome[k] IS NOT NULL;
        u := p_use[k];
        c := CASE WHEN u > 0 THEN p_use_code[u] ELSE 0 END;
        IF (p_cart[k] > 0 AND v_ordered[p_cart[k]]) OR (c > 0 AND NOT p_code_sound[c]) THEN
            outcome[k] := 'stale';
            CONTINUE;
        END IF;
        FOR l IN v_first..v_next - 1 LOOP
            IF NOT p_sku_sound[p_line_sku[l]] THEN
                outcome[k] := 'stale';
            END IF;
        END LOOP;
        CONTINUE WHEN outcome[k] IS NOT NULL;
        IF (p_client[k] > 0 AND p_client_left[p_client[k]] < 1) OR (p_network[k] > 0 AND p_network_left[p_network[k]] < 1) THEN
            outcome[k] := 'unpaid';
            CONTINUE;
        END IF;
        IF c > 0 AND (p_code_left[c] < 1 OR p_use_left[u] < 1) THEN
            outcome[k] := 'discount';
            CONTINUE;
        END IF;
        l := v_first;
        WHILE l < v_next LOOP
            s := p_line_sku[l];
            EXIT WHEN p_sku_left[s] < p_line_quantity[l];
            p_sku_left[s] := p_sku_left[s] - p_line_quantity[l];
            l := l + 1;
        END LOOP;
        IF l < v_next THEN
            outcome[k] := 'stock';
            at[k] := l - v_first + 1;
            remaining[k] := p_sku_left[p_line_sku[l]];
            FOR b IN v_first..l - 1 LOOP        -- give back what its earlier lines took
                s := p_line_sku[b];
                p_sku_left[s] := p_sku_left[s] + p_line_quantity[b];
            END LOOP;
            CONTINUE;
        END IF;
        FOR b IN v_first..v_next - 1 LOOP
            s := p_line_sku[b];
            sku_taken[s] := sku_taken[s] + p_line_quantity[b];
        END LOOP;
        IF c > 0 THEN
            p_code_left[c] := p_code_left[c] - 1;
            code_taken[c] := code_taken[c] + 1;
            p_use_left[u] := p_use_left[u] - 1;
        END IF;
        IF p_client[k] > 0 THEN
            p_client_left[p_client[k]] := p_client_left[p_client[k]] - 1;
        END IF;
        IF p_network[k] > 0 THEN
            p_network_left[p_network[k]] := p_network_left[p_network[k]] - 1;
        END IF;
        IF p_cart[k] > 0 THEN
            v_ordered[p_cart[k]] := true;
        END IF;
        outcome[k] := 'placed';
    END LOOP;
END $$;

-- Places a batch; returns a row for each order that was not placed. outcome: 'replayed', 'reused', 'again' (as of stored_replies);
-- 'refused' (p_refused, by totals); 'stale' (what the totals rest on has moved: compute again); 'stock' (at is the line,
-- remaining what is left for it); 'discount' (used up); 'unpaid' (the client has p_unpaid_max unpaid orders, or guests of its
-- network have p_network_max; 0: no limit).
CREATE FUNCTION place_batch(
    p_method text,
    -- of each order
    p_subject text[], p_key text[], p_hash bytea[], p_reply bytea[], p_refused boolean[],
    p_id text[], p_number bigint[], p_cart_id text[], p_cart_version bigint[], p_email text[],
    p_use bigint[],                     -- which of the uses below; 0: no code
    p_shipping_method text[], p_shipping_name text[], p_address text[], p_payment_method text[],
    p_items bigint[], p_discount bigint[], p_shipping bigint[], p_tax bigint[], p_grand bigint[], p_included boolean[],
    p_event text[], p_traceparent text[],
    p_lines bigint[],                   -- how many of the lines below, which stand in the orders' order; none of refused ones
    -- of each line: its order and its number there, its SKU (position), ...
    p_line_order bigint[], p_line_number bigint[], p_line_sku bigint[], p_line_quantity bigint[], p_line_discount bigint[],
    p_line_tax bigint[], p_line_rate bigint[], p_line_total bigint[],
    -- of each SKU, distinct, sorted by bytes: as it was when the totals were computed; how much of it all lines want
    p_sku text[], p_sku_price bigint[], p_sku_category text[], p_sku_product text[], p_sku_name text[], p_sku_options text[],
    p_sku_wanted bigint[],
    -- of each discount code, distinct; of each (code, customer), distinct
    p_code text[], p_code_version bigint[], p_use_code bigint[], p_use_customer text[],
    p_currency text, p_at timestamptz, p_expires_at timestamptz, p_unpaid_max bigint,
    p_network text[], p_network_max bigint,     -- of each order: where its guest is; NULL: not counted
    p_stock_last boolean,       -- there seems to be plenty: take it at the end, and fail with 40001 when there is not
    p_wait_ms bigint)
RETURNS TABLE (i bigint, outcome text, at bigint, remaining bigint, reply bytea) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    n CONSTANT int := cardinality(p_subject);
    v_won boolean[];
    v_out text[] := array_fill(NULL::text, ARRAY[n]);
    v_simple boolean;       -- so far each order can be placed, whatever the others do
    v_client bigint[];
    v_client_left bigint[];
    v_network bigint[];
    v_network_left bigint[];
    v_carts boolean;
    v_cart bigint[];
    v_codes CONSTANT boolean := cardinality(p_code) > 0;
    v_code_sound boolean[];
    v_code_left bigint[];
    v_use_left bigint[];
    v_wanted bigint[] := p_sku_wanted;
    v_stock_last boolean;
    v_stock record;
    v_sku_sound boolean[];
    v_sku_left bigint[];
    v_last text;
    v_last_i bigint;
    v_done record;
    r record;
BEGIN
    -- (1) Keys.
    v_won := claim_keys(p_method, p_subject, p_key, p_hash, p_reply, p_wait_ms);
    v_carts := cardinality(array_remove(p_cart_id, NULL)) > 0;
    v_simple := NOT (v_carts OR v_codes OR false = ANY (v_won) OR true = ANY (p_refused));
    IF NOT v_simple THEN
        v_out := ARRAY(SELECT CASE WHEN NOT a.won THEN 'again' WHEN a.refused THEN 'refused'
                WHEN a.cart IS NOT NULL THEN 'stale' END    -- until its cart is found as it was
            FROM unnest(v_won, p_refused, p_cart_id) WITH ORDINALITY AS a(won, refused, cart, i) ORDER BY a.i);
    END IF;

    -- (2) Clients and their networks: unpaid orders are counted while nobody else adds one.
    IF p_unpaid_max > 0 OR p_network_max > 0 THEN
        PERFORM pg_advisory_xact_lock(a.lock) FROM (
            SELECT DISTINCT hashtextextended(b.name, 5) AS lock FROM (
                SELECT unnest(p_subject) AS name WHERE p_unpaid_max > 0
                UNION ALL SELECT unnest(p_network) WHERE p_network_max > 0) b
            WHERE b.name IS NOT NULL ORDER BY 1) a;
    END IF;
    IF p_unpaid_max > 0 THEN
        FOR r IN SELECT c.orders, c.unpaid FROM crowded('subject', p_subject, p_unpaid_max) c LOOP
            v_simple := false;
            v_client_left[r.orders[1]] := p_unpaid_max - r.unpaid;
            FOR k IN 1..cardinality(r.orders) LOOP
                v_client[r.orders[k]] := r.orders[1];
            END LOOP;
        END LOOP;
    END IF;
    IF p_network_max > 0 THEN
        FOR r IN SELECT c.orders, c.unpaid FROM crowded('network', p_network, p_network_max) c LOOP
            v_simple := false;
            v_network_left[r.orders[1]] := p_network_max - r.unpaid;
            FOR k IN 1..cardinality(r.orders) LOOP
                v_network[r.orders[k]] := r.orders[1];
            END LOOP;
        END LOOP;
    END IF;

    -- (3) Carts, of their owners. When one of a batch's orders of a cart is placed, those behind it look again.
    IF v_carts THEN
        FOR r IN
            SELECT a.i, c.id, c.version = a.version AND c.status = 'open' AS sound
            FROM unnest(p_cart_id, p_cart_version) WITH ORDINALITY AS a(id, version, i) JOIN carts c ON c.id = a.id
            WHERE v_out[a.i] = 'stale' AND c.subject = p_subject[a.i]
            ORDER BY c.id, a.i FOR UPDATE OF c
        LOOP
            IF r.id IS DISTINCT FROM v_last THEN
                v_last := r.id;
                v_last_i := r.i;
            END IF;
            IF r.sound THEN
                v_out[r.i] := NULL;
                v_cart[r.i] := v_last_i;
            END IF;
        END LOOP;
    END IF;

    -- (4) Discount codes, and how often the customers have used them.
    v_code_sound := array_fill(false, ARRAY[cardinality(p_code)]);
    v_code_left := array_fill(NULL::bigint, ARRAY[cardinality(p_code)]);
    v_use_left := array_fill(NULL::bigint, ARRAY[cardinality(p_use_code)]);
    IF v_codes THEN
        FOR r IN
            SELECT a.i, d.version = a.version AS sound, d.limit_total - d.used AS remaining, d.limit_per_customer
            FROM unnest(p_code, p_code_version) WITH ORDINALITY AS a(code, version, i) JOIN discount_codes d ON d.code = a.code
            WHERE EXISTS (SELECT FROM unnest(p_use) WITH ORDINALITY AS o(use, i)
                WHERE v_out[o.i] IS NULL AND o.use > 0 AND p_use_code[o.use] = a.i)
            ORDER BY d.code FOR NO KEY UPDATE OF d
        LOOP
            v_code_sound[r.i] := r.sound;
            v_code_left[r.i] := r.remaining;
            IF r.limit_per_customer IS NOT NULL THEN
                FOR u IN 1..cardinality(p_use_code) LOOP
                    IF p_use_code[u] = r.i THEN
                        v_use_left[u] := r.limit_per_customer;
                    END IF;
                END LOOP;
            END IF;
        END LOOP;
        FOR r IN
            SELECT a.i, count(*) AS used
            FROM unnest(p_use_code, p_use_customer) WITH ORDINALITY AS a(code, customer, i)
            JOIN discount_uses d ON d.code = p_code[a.code] AND d.customer = a.customer
            WHERE v_use_left[a.i] IS NOT NULL
            GROUP BY a.i
        LOOP
            v_use_left[r.i] := v_use_left[r.i] - r.used;
        END LOOP;
    END IF;

    -- (5) SKUs, of the orders that are still in.
    IF NOT v_simple THEN
        v_wanted := array_fill(0::bigint, ARRAY[cardinality(p_sku)]);
        FOR l IN 1..cardinality(p_line_order) LOOP
            IF v_out[p_line_order[l]] IS NULL THEN
                v_wanted[p_line_sku[l]] := v_wanted[p_line_sku[l]] + p_line_quantity[l];
            END IF;
        END LOOP;
    END IF;
    v_stock_last := p_stock_last AND v_simple;
    IF NOT v_stock_last THEN
        v_stock := take_stock(p_sku, v_wanted, p_sku_price, p_sku_category, p_currency, p_at);
        v_simple := v_simple AND v_stock.enough;
    END IF;

    -- (6) Decide.
    IF v_simple THEN
        v_out := array_fill('placed'::text, ARRAY[n]);
    ELSE
        SELECT COALESCE(array_agg(COALESCE(t.sound, false) ORDER BY a.i), '{}'),
            COALESCE(array_agg(COALESCE(t.remaining + CASE WHEN t.fits THEN a.wanted ELSE 0 END, 0) ORDER BY a.i), '{}'),
            COALESCE(array_agg(CASE WHEN t.fits THEN a.wanted ELSE 0 END ORDER BY a.i), '{}')
        INTO v_sku_sound, v_sku_left, v_wanted      -- wanted: from here on, what was taken
        FROM unnest(v_wanted) WITH ORDINALITY AS a(wanted, i)
        LEFT JOIN unnest(v_stock.at, v_stock.fits, v_stock.sound, v_stock.remaining) AS t(i, fits, sound, remaining) ON t.i = a.i;
        v_done := decide_batch(v_out, v_cart, v_client, v_client_left, v_network, v_network_left,
            p_use, p_use_code, v_use_left, v_code_sound, v_code_left, p_lines, p_line_sku, p_line_quantity, v_sku_sound, v_sku_left);
        v_out := v_done.outcome;
        UPDATE skus s SET reserved = s.reserved + a.taken - a.had, updated_at = p_at
        FROM unnest(p_sku, v_wanted, v_done.sku_taken) AS a(sku, had, taken) WHERE s.sku = a.sku AND a.had <> a.taken;
    END IF;

    -- (7) Write, by set.
    IF v_codes THEN
        UPDATE discount_codes SET used = used + a.taken
        FROM unnest(p_code, v_done.code_taken) AS a(code, taken) WHERE discount_codes.code = a.code AND a.taken > 0;
        INSERT INTO discount_uses (code, order_id, customer)
        SELECT p_code[p_use_code[a.use]], a.id, p_use_customer[a.use]
        FROM unnest(p_id, p_use, v_out) AS a(id, use, outcome) WHERE a.outcome = 'placed' AND a.use > 0;
    END IF;
    IF v_carts THEN
        UPDATE carts SET status = 'ordered', version = carts.version + 1, updated_at = p_at
        FROM unnest(p_cart_id, v_out) AS a(id, outcome) WHERE carts.id = a.id AND a.outcome = 'placed';
    END IF;
    INSERT INTO orders (id, number, subject, client_address, cart_id, email, status, payment_status, fulfilment_status, currency,
        items_total, discount_total, shipping_total, tax_total, grand_total, taxes_included, discount_code, shipping_method,
        shipping_name, shipping_address, payment_method, placed_at, expires_at, updated_at)
    SELECT a.id, a.number, a.subject, CASE WHEN p_network_max > 0 THEN a.network END, a.cart_id, a.email, 'placed', 'pending',
        'unfulfilled', p_currency, a.items, a.discount, a.shipping, a.tax, a.grand, a.included,
        CASE WHEN a.use > 0 THEN p_code[p_use_code[a.use]] END, a.shipping_method, a.shipping_name, a.address::jsonb,
        a.payment_method, p_at, p_expires_at, p_at
    FROM unnest(p_id, p_number, p_subject, p_network, p_cart_id, p_email, p_items, p_discount, p_shipping, p_tax, p_grand, p_included,
        p_use, p_shipping_method, p_shipping_name, p_address, p_payment_method, v_out)
        AS a(id, number, subject, network, cart_id, email, items, discount, shipping, tax, grand, included, use, shipping_method,
        shipping_name, address, payment_method, outcome)
    WHERE a.outcome = 'placed';
    INSERT INTO order_lines (order_id, line, sku, product_id, name, option_values, quantity, unit_price, discount, tax,
        tax_rate_ppm, total)
    SELECT p_id[a.o], a.number, p_sku[a.sku], p_sku_product[a.sku], p_sku_name[a.sku], p_sku_options[a.sku]::jsonb, a.quantity,
        p_sku_price[a.sku], a.discount, a.tax, a.rate, a.total
    FROM unnest(p_line_order, p_line_number, p_line_sku, p_line_quantity, p_line_discount, p_line_tax, p_line_rate, p_line_total)
        AS a(o, number, sku, quantity, discount, tax, rate, total)
    WHERE v_out[a.o] = 'placed';
    INSERT INTO outbox (id, type, aggregate, sequence, payload, traceparent, created_at)
    SELECT a.event, 'order.placed', a.id, 1, jsonb_build_object(       -- as order_payload, without reading the row again
        'order_id', a.id, 'number', a.number, 'version', 1, 'subject', a.subject, 'email', a.email,
        'status', 'placed', 'payment_status', 'pending', 'fulfilment_status', 'unfulfilled',
        'grand_total', jsonb_build_object('amount', a.grand, 'currency', p_currency)), a.traceparent, p_at
    FROM unnest(p_id, p_number, p_subject, p_email, p_grand, p_event, p_traceparent, v_out)
        AS a(id, number, subject, email, grand, event, traceparent, outcome)
    WHERE a.outcome = 'placed';

    -- (8) Stock that was left for the end. The guess that there is enough was wrong: nothing of this stays.
    IF v_stock_last THEN
        v_stock := take_stock(p_sku, v_wanted, p_sku_price, p_sku_category, p_currency, p_at);
        IF NOT v_stock.enough THEN
            RAISE EXCEPTION 'stock ran short' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;

    -- (9) Refused orders' keys are free again; twins get what is stored.
    IF v_simple THEN
        RETURN;
    END IF;
    PERFORM forget_keys(p_method, p_subject, p_key,
        ARRAY(SELECT a.won AND a.outcome <> 'placed' FROM unnest(v_won, v_out) WITH ORDINALITY AS a(won, outcome, i)
            ORDER BY a.i));
    RETURN QUERY
        SELECT a.i, COALESCE(t.outcome, a.outcome), a.at, a.remaining, t.reply
        FROM unnest(v_out, v_done.at, v_done.remaining) WITH ORDINALITY AS a(outcome, at, remaining, i)
        LEFT JOIN stored_replies(p_method, p_subject, p_key, p_hash, v_won) t ON t.i = a.i
        WHERE a.outcome <> 'placed';
END $$;

-- What has happened to an order. Its placing is the order itself and not written again: order_events has what came later,
-- and of orders placed by place_orders the placing too.
CREATE VIEW order_history AS
SELECT id AS order_id, 1::bigint AS sequence, 'placed' AS type, subject AS actor, '{}'::jsonb AS data, placed_at AS at FROM orders
UNION ALL
SELECT order_id, sequence, type, actor, data, at FROM order_events WHERE sequence > 1;

-- migrate:down

DROP VIEW order_history;
DROP FUNCTION place_batch;
DROP FUNCTION decide_batch;
DROP FUNCTION take_stock;
DROP FUNCTION crowded;
