-- migrate:up
-- step: expand

-- Placing and settling orders, a batch in one call. READ COMMITTED and one statement for each step: a statement sees what
-- was committed before it began, so each one looks again at what the locks before it were waited for (as a single statement
-- with CTEs, stock would be read before its lock is held).
--
-- Arrays meet tables by nested loops over the tables' keys, planned once: for a hash the planner would read all SKUs.
--
-- Locks are taken in one order everywhere, each kind sorted by bytes: idempotency keys, clients (advisory), carts, orders,
-- discount codes, SKUs. Arrays are parallel; positions count from 1.

-- Claims (subject, method, key) for each element: true where this call is the first. The reply is stored at once, computed
-- before the call; forget_keys takes it back. A twin that runs elsewhere is waited for, for p_wait_ms at most: then the call
-- fails with 55P03 (lock_not_available), which nothing else in it does. NULL keys are claimed without a row.
CREATE FUNCTION claim_keys(p_method text, p_subject text[], p_key text[], p_hash bytea[], p_reply bytea[], p_wait_ms bigint)
RETURNS boolean[] LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_hashjoin = on AS $$
DECLARE
    v_won boolean[];
    r record;
BEGIN
    SELECT array_agg(k IS NULL ORDER BY i) INTO v_won FROM unnest(p_key) WITH ORDINALITY AS a(k, i);
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    FOR r IN
        WITH asked AS (
            SELECT DISTINCT ON (a.subject COLLATE "C", a.key COLLATE "C")
                a.subject COLLATE "C" AS subject, a.key COLLATE "C" AS key, a.hash, a.reply, a.i
            FROM unnest(p_subject, p_key, p_hash, p_reply) WITH ORDINALITY AS a(subject, key, hash, reply, i)
            WHERE a.key IS NOT NULL
            ORDER BY a.subject COLLATE "C", a.key COLLATE "C", a.i
        ), claimed AS (
            INSERT INTO idempotency (subject, method, key, hash, reply)
            SELECT subject, p_method, key, hash, reply FROM asked ORDER BY subject, key
            ON CONFLICT DO NOTHING
            RETURNING subject, key
        )
        SELECT asked.i FROM asked JOIN claimed USING (subject, key)
    LOOP
        v_won[r.i] := true;
    END LOOP;
    PERFORM set_config('lock_timeout', '0', true);
    RETURN v_won;
END $$;

-- Refusals are not stored: the keys at these positions may be used again.
CREATE FUNCTION forget_keys(p_method text, p_subject text[], p_key text[], p_forget boolean[])
RETURNS void LANGUAGE sql AS $$
    DELETE FROM idempotency
    USING unnest(p_subject, p_key, p_forget) AS a(subject, key, forget)
    WHERE a.forget AND idempotency.subject = a.subject AND idempotency.method = p_method AND idempotency.key = a.key;
$$;

-- What the others get: outcome 'replayed' with the stored reply, 'reused' for another request, 'again' when the first one
-- was refused and its key is free.
CREATE FUNCTION stored_replies(p_method text, p_subject text[], p_key text[], p_hash bytea[], p_won boolean[])
RETURNS TABLE (i bigint, outcome text, reply bytea) LANGUAGE sql STABLE AS $$
    SELECT a.i,
        CASE WHEN s.key IS NULL OR s.reply IS NULL THEN 'again' WHEN s.hash = a.hash THEN 'replayed' ELSE 'reused' END,
        CASE WHEN s.hash = a.hash THEN s.reply END
    FROM unnest(p_subject, p_key, p_hash, p_won) WITH ORDINALITY AS a(subject, key, hash, won, i)
    LEFT JOIN idempotency s ON s.subject = a.subject AND s.method = p_method AND s.key = a.key
    WHERE NOT a.won;
$$;

-- What an event says of its order.
CREATE FUNCTION order_payload(o orders) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'order_id', o.id, 'number', o.number, 'version', o.version, 'subject', o.subject, 'email', o.email,
        'status', o.status, 'payment_status', o.payment_status, 'fulfilment_status', o.fulfilment_status,
        'grand_total', jsonb_build_object('amount', o.grand_total, 'currency', o.currency));
$$;

-- The log's row and the outbox's row of a change just made, for each order; sequence is the order's version.
CREATE FUNCTION record_order_events(p_type text, p_id text[], p_actor text[], p_event text[], p_traceparent text[],
    p_data jsonb[], p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_events (order_id, sequence, type, actor, data, at)
    SELECT o.id, o.version, p_type, a.actor, COALESCE(a.data, '{}'), p_at
    FROM unnest(p_id, p_actor, p_data) AS a(id, actor, data) JOIN orders o ON o.id = a.id;
    INSERT INTO outbox (id, type, aggregate, sequence, payload, traceparent, created_at)
    SELECT a.event, 'order.' || p_type, o.id, o.version, order_payload(o) || COALESCE(a.data, '{}'), a.traceparent, p_at
    FROM unnest(p_id, p_event, p_traceparent, p_data) AS a(id, event, traceparent, data) JOIN orders o ON o.id = a.id;
END $$;

-- Places a batch. outcome of each order: 'placed'; 'replayed', 'reused', 'again' (as above); 'refused' (p_refused, by totals);
-- 'stale' (what the totals rest on has moved: compute again); 'stock' (at is the line, remaining what is left for it);
-- 'discount' (used up); 'unpaid' (the client has p_unpaid_max unpaid orders, or guests of its network have p_network_max).
CREATE FUNCTION place_orders(
    p_method text,
    -- of each order
    p_subject text[], p_key text[], p_hash bytea[], p_reply bytea[], p_refused boolean[],
    p_id text[], p_number bigint[], p_cart_id text[], p_cart_version bigint[], p_email text[],
    p_use bigint[],                     -- which of the uses below; 0: no code
    p_shipping_method text[], p_shipping_name text[], p_address text[], p_payment_method text[],
    p_items bigint[], p_discount bigint[], p_shipping bigint[], p_tax bigint[], p_grand bigint[], p_included boolean[],
    p_event text[], p_traceparent text[],
    p_lines bigint[],                   -- how many of the lines below, which stand in the orders' order
    -- of each line: its order, its SKU (positions), ...
    p_line_order bigint[], p_line_sku bigint[], p_line_quantity bigint[], p_line_discount bigint[], p_line_tax bigint[], p_line_rate bigint[],
    p_line_total bigint[],
    -- of each SKU, distinct: as it was when the totals were computed
    p_sku text[], p_sku_price bigint[], p_sku_category text[], p_sku_product text[], p_sku_name text[], p_sku_options text[],
    -- of each discount code, distinct; of each (code, customer), distinct
    p_code text[], p_code_version bigint[], p_use_code bigint[], p_use_customer text[],
    p_currency text, p_at timestamptz, p_expires_at timestamptz, p_unpaid_max bigint,
    p_network text[], p_network_max bigint,     -- of each order: where its guest is; NULL: not counted
    p_wait_ms bigint)
RETURNS TABLE (i bigint, outcome text, at bigint, remaining bigint, reply bytea) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    n CONSTANT bigint := cardinality(p_subject);
    v_won boolean[];
    v_out text[] := array_fill(NULL::text, ARRAY[n::int]);
    v_at bigint[] := array_fill(NULL::bigint, ARRAY[n::int]);
    v_remaining bigint[] := array_fill(NULL::bigint, ARRAY[n::int]);
    v_reply bytea[] := array_fill(NULL::bytea, ARRAY[n::int]);
    v_first bigint[] := array_fill(0::bigint, ARRAY[n::int]);
    v_unpaid bigint[] := array_fill(0::bigint, ARRAY[n::int]);      -- at the first order of a client
    v_client bigint[] := array_fill(0::bigint, ARRAY[n::int]);      -- which that is
    v_crowd bigint[] := array_fill(0::bigint, ARRAY[n::int]);       -- unpaid orders, at the first order of a network
    v_network bigint[] := array_fill(0::bigint, ARRAY[n::int]);     -- which that is; 0: not counted
    v_cart bigint[] := array_fill(0::bigint, ARRAY[n::int]);        -- the first order of its cart; 0: no cart
    v_ordered boolean[] := array_fill(false, ARRAY[n::int]);        -- at that one: the cart is taken
    v_sku_wanted boolean[] := array_fill(false, ARRAY[cardinality(p_sku)]);
    v_sku_sound boolean[] := array_fill(false, ARRAY[cardinality(p_sku)]);
    v_sku_left bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_sku)]);
    v_sku_taken bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_sku)]);
    v_code_sound boolean[] := array_fill(false, ARRAY[cardinality(p_code)]);
    v_code_left bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(p_code)]);
    v_code_taken bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_code)]);
    v_use_left bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(p_use_code)]);
    v_carts boolean := false;
    v_next bigint := 1;
    v_last text;
    v_last_i bigint;
    c bigint;
    l bigint;
    s bigint;
    u bigint;
    r record;
BEGIN
    -- (1) Keys.
    v_won := claim_keys(p_method, p_subject, p_key, p_hash, p_reply, p_wait_ms);
    FOR k IN 1..n LOOP
        v_first[k] := v_next;
        v_next := v_next + p_lines[k];
        IF NOT v_won[k] THEN
            v_out[k] := 'again';
        ELSIF p_refused[k] THEN
            v_out[k] := 'refused';
        ELSIF p_cart_id[k] IS NOT NULL THEN
            v_out[k] := 'stale';        -- until its cart is found as it was
            v_carts := true;
        END IF;
    END LOOP;

    -- (2) Clients and their networks: unpaid orders are counted while nobody else adds one.
    IF p_unpaid_max > 0 OR p_network_max > 0 THEN
        PERFORM pg_advisory_xact_lock(a.lock) FROM (
            SELECT DISTINCT hashtextextended(b.name, 5) AS lock
            FROM unnest(p_subject, p_network, v_won, p_refused) AS a(subject, network, won, refused)
            CROSS JOIN LATERAL (VALUES (CASE WHEN p_unpaid_max > 0 THEN a.subject END),
                (CASE WHEN p_network_max > 0 THEN a.network END)) AS b(name)
            WHERE a.won AND NOT a.refused AND b.name IS NOT NULL ORDER BY 1) a;
    END IF;
    IF p_unpaid_max > 0 THEN
        FOR r IN
            SELECT a.i, min(a.i) OVER (PARTITION BY a.subject) AS client,
                (SELECT count(*) FROM orders o WHERE o.subject = a.subject AND o.payment_status = 'pending') AS unpaid
            FROM unnest(p_subject) WITH ORDINALITY AS a(subject, i) WHERE v_out[a.i] IS NULL OR v_out[a.i] = 'stale'
        LOOP
            v_client[r.i] := r.client;
            v_unpaid[r.i] := r.unpaid;
        END LOOP;
    END IF;
    IF p_network_max > 0 THEN
        FOR r IN
            SELECT b.orders, (SELECT count(*) FROM orders o WHERE o.client_address = b.network) AS unpaid
            FROM (SELECT a.network, array_agg(a.i) AS orders FROM unnest(p_network) WITH ORDINALITY AS a(network, i)
                WHERE a.network IS NOT NULL AND (v_out[a.i] IS NULL OR v_out[a.i] = 'stale') GROUP BY a.network) b
        LOOP
            v_crowd[r.orders[1]] := r.unpaid;
            FOREACH l IN ARRAY r.orders LOOP
                v_network[l] := r.orders[1];
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
    IF cardinality(p_code) > 0 THEN
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
    FOR l IN 1..cardinality(p_line_order) LOOP
        IF v_out[p_line_order[l]] IS NULL THEN
            v_sku_wanted[p_line_sku[l]] := true;
        END IF;
    END LOOP;
    FOR r IN
        SELECT a.i, s.on_hand - s.reserved AS remaining, s.sellable AND s.price = a.price AND s.currency = p_currency
            AND s.tax_category = a.category AS sound
        FROM unnest(p_sku, p_sku_price, p_sku_category) WITH ORDINALITY AS a(sku, price, category, i)
        JOIN skus s ON s.sku = a.sku
        WHERE v_sku_wanted[a.i]
        ORDER BY s.sku FOR NO KEY UPDATE OF s
    LOOP
        v_sku_sound[r.i] := r.sound;
        v_sku_left[r.i] := r.remaining;
    END LOOP;

    -- (6) Decide, first come, first served. An order takes all that it needs or nothing.
    FOR k IN 1..n LOOP
        CONTINUE WHEN v_out[k] IS NOT NULL;
        IF v_cart[k] > 0 AND v_ordered[v_cart[k]] THEN
            v_out[k] := 'stale';
            CONTINUE;
        END IF;
        u := p_use[k];
        c := CASE WHEN u > 0 THEN p_use_code[u] ELSE 0 END;
        IF c > 0 AND NOT v_code_sound[c] THEN
            v_out[k] := 'stale';
            CONTINUE;
        END IF;
        FOR l IN v_first[k]..v_first[k] + p_lines[k] - 1 LOOP
            IF NOT v_sku_sound[p_line_sku[l]] THEN
                v_out[k] := 'stale';
            END IF;
        END LOOP;
        CONTINUE WHEN v_out[k] IS NOT NULL;
        IF (p_unpaid_max > 0 AND v_unpaid[v_client[k]] >= p_unpaid_max)
            OR (v_network[k] > 0 AND v_crowd[v_network[k]] >= p_network_max) THEN
            v_out[k] := 'unpaid';
            CONTINUE;
        END IF;
        IF c > 0 AND (v_code_left[c] < 1 OR v_use_left[u] < 1) THEN
            v_out[k] := 'discount';
            CONTINUE;
        END IF;
        l := v_first[k];
        WHILE l < v_first[k] + p_lines[k] LOOP
            s := p_line_sku[l];
            EXIT WHEN v_sku_left[s] < p_line_quantity[l];
            v_sku_left[s] := v_sku_left[s] - p_line_quantity[l];
            l := l + 1;
        END LOOP;
        IF l < v_first[k] + p_lines[k] THEN
            v_out[k] := 'stock';
            v_at[k] := l - v_first[k] + 1;
            v_remaining[k] := v_sku_left[p_line_sku[l]];
            FOR b IN v_first[k]..l - 1 LOOP     -- give back what its earlier lines took
                s := p_line_sku[b];
                v_sku_left[s] := v_sku_left[s] + p_line_quantity[b];
            END LOOP;
            CONTINUE;
        END IF;
        FOR b IN v_first[k]..v_first[k] + p_lines[k] - 1 LOOP
            s := p_line_sku[b];
            v_sku_taken[s] := v_sku_taken[s] + p_line_quantity[b];
        END LOOP;
        IF c > 0 THEN
            v_code_left[c] := v_code_left[c] - 1;
            v_code_taken[c] := v_code_taken[c] + 1;
            v_use_left[u] := v_use_left[u] - 1;
        END IF;
        IF p_unpaid_max > 0 THEN
            v_unpaid[v_client[k]] := v_unpaid[v_client[k]] + 1;
        END IF;
        IF v_network[k] > 0 THEN
            v_crowd[v_network[k]] := v_crowd[v_network[k]] + 1;
        END IF;
        IF v_cart[k] > 0 THEN
            v_ordered[v_cart[k]] := true;
        END IF;
        v_out[k] := 'placed';
    END LOOP;

    -- (7) Write, by set.
    UPDATE skus SET reserved = skus.reserved + a.taken, updated_at = p_at
    FROM unnest(p_sku, v_sku_taken) AS a(sku, taken) WHERE skus.sku = a.sku AND a.taken > 0;
    IF cardinality(p_code) > 0 THEN
        UPDATE discount_codes SET used = used + a.taken
        FROM unnest(p_code, v_code_taken) AS a(code, taken) WHERE discount_codes.code = a.code AND a.taken > 0;
        INSERT INTO discount_uses (code, order_id, customer)
        SELECT p_code[p_use_code[a.use]], a.id, p_use_customer[a.use]
        FROM unnest(p_id, p_use, v_out) AS a(id, use, outcome) WHERE a.outcome = 'placed' AND a.use > 0;
    END IF;
    IF v_carts THEN
        UPDATE carts SET status = 'ordered', version = carts.version + 1, updated_at = p_at
        FROM unnest(p_cart_id, v_out) AS a(id, outcome) WHERE carts.id = a.id AND a.outcome = 'placed';
    END IF;
    INSERT INTO orders (id, number, subject, client_address, cart_id, email, status, payment_status, fulfilment_status, currency,
        items_total, discount_total, shipping_total, tax_total, grand_total, taxes_included, discount_code, shipping_method, shipping_name,
        shipping_address, payment_method, placed_at, expires_at, updated_at)
    SELECT a.id, a.number, a.subject, CASE WHEN p_network_max > 0 THEN a.network END, a.cart_id, a.email, 'placed', 'pending',
        'unfulfilled', p_currency, a.items, a.discount, a.shipping, a.tax, a.grand, a.included, CASE WHEN a.use > 0 THEN p_code[p_use_code[a.use]] END, a.shipping_method,
        a.shipping_name, a.address::jsonb, a.payment_method, p_at, p_expires_at, p_at
    FROM unnest(p_id, p_number, p_subject, p_network, p_cart_id, p_email, p_items, p_discount, p_shipping, p_tax, p_grand, p_included,
        p_use, p_shipping_method, p_shipping_name, p_address, p_payment_method, v_out)
        AS a(id, number, subject, network, cart_id, email, items, discount, shipping, tax, grand, included, use, shipping_method,
        shipping_name, address, payment_method, outcome)
    WHERE a.outcome = 'placed';
    INSERT INTO order_lines (order_id, line, sku, product_id, name, option_values, quantity, unit_price, discount, tax,
        tax_rate_ppm, total)
    SELECT p_id[a.o], a.l - v_first[a.o] + 1, p_sku[a.sku], p_sku_product[a.sku], p_sku_name[a.sku],
        p_sku_options[a.sku]::jsonb, a.quantity, p_sku_price[a.sku], a.discount, a.tax, a.rate, a.total
    FROM unnest(p_line_order, p_line_sku, p_line_quantity, p_line_discount, p_line_tax, p_line_rate, p_line_total)
        WITH ORDINALITY AS a(o, sku, quantity, discount, tax, rate, total, l)
    WHERE v_out[a.o] = 'placed';
    INSERT INTO order_events (order_id, sequence, type, actor, at)
    SELECT a.id, 1, 'placed', a.subject, p_at FROM unnest(p_id, p_subject, v_out) AS a(id, subject, outcome)
    WHERE a.outcome = 'placed';
    INSERT INTO outbox (id, type, aggregate, sequence, payload, traceparent, created_at)
    SELECT a.event, 'order.placed', a.id, 1, jsonb_build_object(       -- as order_payload, without reading the row again
        'order_id', a.id, 'number', a.number, 'version', 1, 'subject', a.subject, 'email', a.email,
        'status', 'placed', 'payment_status', 'pending', 'fulfilment_status', 'unfulfilled',
        'grand_total', jsonb_build_object('amount', a.grand, 'currency', p_currency)), a.traceparent, p_at
    FROM unnest(p_id, p_number, p_subject, p_email, p_grand, p_event, p_traceparent, v_out)
        AS a(id, number, subject, email, grand, event, traceparent, outcome)
    WHERE a.outcome = 'placed';

    -- (8) Refused orders' keys are free again; twins get what is stored.
    IF EXISTS (SELECT FROM unnest(v_won, v_out) AS a(won, outcome) WHERE a.won AND a.outcome <> 'placed') THEN
        PERFORM forget_keys(p_method, p_subject, p_key,
            ARRAY(SELECT a.won AND a.outcome <> 'placed' FROM unnest(v_won, v_out) WITH ORDINALITY AS a(won, outcome, i)
                ORDER BY a.i));
    END IF;
    IF false = ANY (v_won) THEN
        FOR r IN SELECT t.i, t.outcome, t.reply FROM stored_replies(p_method, p_subject, p_key, p_hash, v_won) t LOOP
            v_out[r.i] := r.outcome;
            v_reply[r.i] := r.reply;
        END LOOP;
    END IF;
    RETURN QUERY SELECT a.i, a.outcome, a.at, a.remaining, a.reply
        FROM unnest(v_out, v_at, v_remaining, v_reply) WITH ORDINALITY AS a(outcome, at, remaining, reply, i);
END $$;

-- Ends the waiting of placed orders: p_move is 'pay' (the stock leaves), 'cancel' or 'expire' (what was reserved comes back,
-- and so does the use of a discount code; the cart opens again). Each order once: outcome 'done'; 'replayed', 'reused',
-- 'again', 'refused' as of place_orders; 'stale': the order is not as it was read (p_version), or not due.
CREATE FUNCTION settle_orders(
    p_move text, p_method text,
    p_subject text[], p_key text[], p_hash bytea[], p_reply bytea[], p_refused boolean[],
    p_id text[], p_version bigint[],    -- NULL: whatever it is
    p_owner text[],                     -- NULL: whoever it is
    p_actor text[], p_event text[], p_traceparent text[],
    p_audit text[], p_request text[],   -- id of the audit row, NULL: none; the request's id
    p_at timestamptz, p_wait_ms bigint)
RETURNS TABLE (i bigint, outcome text, reply bytea) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    n CONSTANT bigint := cardinality(p_id);
    v_won boolean[];
    v_out text[] := array_fill(NULL::text, ARRAY[n::int]);
    v_reply bytea[] := array_fill(NULL::bytea, ARRAY[n::int]);
    v_last text;
    v_ids text[];
    r record;
BEGIN
    -- (1) Keys.
    v_won := claim_keys(p_method, p_subject, p_key, p_hash, p_reply, p_wait_ms);
    FOR k IN 1..n LOOP
        v_out[k] := CASE WHEN NOT v_won[k] THEN 'again' WHEN p_refused[k] THEN 'refused' ELSE 'stale' END;
    END LOOP;

    -- (2) Carts that will open again.
    IF p_move <> 'pay' THEN
        PERFORM FROM carts c
        WHERE c.id = ANY (ARRAY(SELECT o.cart_id FROM unnest(p_id) WITH ORDINALITY AS a(id, i)
            JOIN orders o ON o.id = a.id WHERE v_out[a.i] = 'stale'))
        ORDER BY c.id FOR UPDATE;
    END IF;

    -- (3) Orders.
    FOR r IN
        SELECT a.i, o.id, o.status = 'placed' AND o.version = COALESCE(a.version, o.version)
            AND o.subject = COALESCE(a.owner, o.subject) AND (p_move <> 'expire' OR o.expires_at <= p_at) AS sound
        FROM unnest(p_id, p_version, p_owner) WITH ORDINALITY AS a(id, version, owner, i) JOIN orders o ON o.id = a.id
        WHERE v_out[a.i] = 'stale'
        ORDER BY o.id, a.i FOR NO KEY UPDATE OF o
    LOOP
        IF r.sound AND r.id IS DISTINCT FROM v_last THEN
            v_out[r.i] := 'done';
        END IF;
        v_last := r.id;
    END LOOP;
    v_ids := ARRAY(SELECT a.id FROM unnest(p_id, v_out) AS a(id, outcome) WHERE a.outcome = 'done');

    IF cardinality(v_ids) > 0 THEN
        -- (4) Discount codes.
        IF p_move <> 'pay' THEN
            PERFORM FROM discount_codes d
            WHERE d.code = ANY (ARRAY(SELECT o.discount_code FROM orders o WHERE o.id = ANY (v_ids)))
            ORDER BY d.code FOR NO KEY UPDATE;
            WITH gone AS (
                DELETE FROM discount_uses u USING orders o
                WHERE o.id = ANY (v_ids) AND u.order_id = o.id
                RETURNING u.code)
            UPDATE discount_codes d SET used = d.used - g.uses
            FROM (SELECT code, count(*) AS uses FROM gone GROUP BY code) g WHERE d.code = g.code;
        END IF;

        -- (5) SKUs.
        PERFORM FROM skus s
        WHERE s.sku = ANY (ARRAY(SELECT DISTINCT l.sku FROM order_lines l WHERE l.order_id = ANY (v_ids)))
        ORDER BY s.sku FOR NO KEY UPDATE;
        UPDATE skus s
        SET reserved = s.reserved - l.quantity, on_hand = s.on_hand - CASE p_move WHEN 'pay' THEN l.quantity ELSE 0 END,
            updated_at = p_at
        FROM (SELECT sku, sum(quantity)::bigint AS quantity FROM order_lines WHERE order_id = ANY (v_ids) GROUP BY sku) l
        WHERE s.sku = l.sku;
        IF p_move = 'pay' THEN
            INSERT INTO stock_ledger (sku, delta, reason, order_id, actor, at)
            SELECT l.sku, -sum(l.quantity)::bigint, 'sale', l.order_id, min(a.actor), p_at
            FROM unnest(p_id, p_actor, v_out) AS a(id, actor, outcome) JOIN order_lines l ON l.order_id = a.id
            WHERE a.outcome = 'done' GROUP BY l.order_id, l.sku ORDER BY l.order_id, l.sku;
        ELSE
            UPDATE carts c SET status = 'open', version = c.version + 1, updated_at = p_at
            FROM orders o WHERE o.id = ANY (v_ids) AND c.id = o.cart_id AND c.status = 'ordered';
        END IF;

        -- (6) The orders and what tells of it.
        UPDATE orders SET
            status = CASE p_move WHEN 'pay' THEN 'confirmed' WHEN 'cancel' THEN 'cancelled' ELSE 'expired' END,
            payment_status = CASE p_move WHEN 'pay' THEN 'paid' ELSE 'voided' END,
            client_address = NULL,
            fulfilment_status = CASE p_move WHEN 'pay' THEN fulfilment_status ELSE 'void' END,
            version = version + 1,
            expires_at = CASE p_move WHEN 'expire' THEN expires_at END,
            paid_at = CASE p_move WHEN 'pay' THEN p_at END,
            cancelled_at = CASE p_move WHEN 'cancel' THEN p_at END,
            updated_at = p_at
        WHERE id = ANY (v_ids);
        PERFORM record_order_events(CASE p_move WHEN 'pay' THEN 'paid' WHEN 'cancel' THEN 'cancelled' ELSE 'expired' END,
            a.ids, a.actors, a.events, a.traceparents, NULL, p_at)
        FROM (SELECT array_agg(a.id) AS ids, array_agg(a.actor) AS actors, array_agg(a.event) AS events,
                array_agg(a.traceparent) AS traceparents
            FROM unnest(p_id, p_actor, p_event, p_traceparent, v_out) AS a(id, actor, event, traceparent, outcome)
            WHERE a.outcome = 'done') a;
        INSERT INTO audit (id, at, actor, action, target, before, after, request_id)
        SELECT a.audit, p_at, a.actor, 'orders.' || p_move, a.id, '{"status": "placed", "payment_status": "pending"}',
            jsonb_build_object('status', o.status, 'payment_status', o.payment_status), a.request
        FROM unnest(p_id, p_actor, p_audit, p_request, v_out) AS a(id, actor, audit, request, outcome)
        JOIN orders o ON o.id = a.id
        WHERE a.outcome = 'done' AND a.audit IS NOT NULL;
    END IF;

    -- (7) As in place_orders.
    IF EXISTS (SELECT FROM unnest(v_won, v_out) AS a(won, outcome) WHERE a.won AND a.outcome <> 'done') THEN
        PERFORM forget_keys(p_method, p_subject, p_key,
            ARRAY(SELECT a.won AND a.outcome <> 'done' FROM unnest(v_won, v_out) WITH ORDINALITY AS a(won, outcome, i)
                ORDER BY a.i));
    END IF;
    IF false = ANY (v_won) THEN
        FOR r IN SELECT t.i, t.outcome, t.reply FROM stored_replies(p_method, p_subject, p_key, p_hash, v_won) t LOOP
            v_out[r.i] := r.outcome;
            v_reply[r.i] := r.reply;
        END LOOP;
    END IF;
    RETURN QUERY SELECT a.i, a.outcome, a.reply FROM unnest(v_out, v_reply) WITH ORDINALITY AS a(outcome, reply, i);
END $$;

-- migrate:down

DROP FUNCTION settle_orders;
DROP FUNCTION place_orders;
DROP FUNCTION record_order_events;
DROP FUNCTION order_payload;
DROP FUNCTION stored_replies;
DROP FUNCTION forget_keys;
DROP FUNCTION claim_keys;
