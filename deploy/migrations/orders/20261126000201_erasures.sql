-- migrate:up
-- step: expand

-- ---- whom the users service has erased ----

-- Accounting keeps orders: their numbers, times, lines, totals, country and the id that was the user's. Everything else that is
-- about the person goes when the order has ended; carts and stored replies go at once.

ALTER TABLE orders ADD COLUMN erased_at timestamptz;

CREATE TABLE erased_subjects (
    subject text COLLATE "C" PRIMARY KEY,
    erased_at timestamptz NOT NULL,
    look_at timestamptz             -- when there may be something to erase again; NULL: never
);
CREATE INDEX erased_subjects_look_at ON erased_subjects (look_at) WHERE look_at IS NOT NULL;

-- The last erasure that is in erased_subjects, with all before it.
CREATE TABLE erasure_checkpoint (
    id integer PRIMARY KEY DEFAULT 1 CONSTRAINT erasure_checkpoint_one CHECK (id = 1),
    number bigint NOT NULL DEFAULT 0,
    user_id text COLLATE "C" NOT NULL DEFAULT ''
);
INSERT INTO erasure_checkpoint DEFAULT VALUES;

-- Takes a page behind p_after. False: another worker was first.
CREATE FUNCTION erasures_take(p_after bigint, p_number bigint, p_user text, p_subjects text[], p_erased_at timestamptz[])
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE erasure_checkpoint SET number = p_number, user_id = p_user WHERE number = p_after;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO erased_subjects (subject, erased_at, look_at)
    SELECT a.subject, a.erased_at, now() FROM unnest(p_subjects, p_erased_at) AS a(subject, erased_at)
    ORDER BY a.subject COLLATE "C" ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

-- Erases what there is of one subject that is due, p_limit rows of a kind at most: then it stays due. It is looked at again
-- after p_again, while orders of it have not ended and for p_tokens after the erasure (so long its tokens may make something).
-- Locks in the order of all (place_orders); the subject's own row is first. found: whether one was due; erased: orders.
CREATE FUNCTION erasures_next(p_limit bigint, p_again interval, p_tokens interval, OUT found boolean, OUT erased bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_subject text;
    v_since timestamptz;
    v_carts text[];
    v_ids text[];
    v_open boolean;
BEGIN
    erased := 0;
    SELECT subject, erased_at INTO v_subject, v_since FROM erased_subjects WHERE look_at <= now()
    ORDER BY look_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    found := FOUND;
    IF NOT found THEN
        RETURN;
    END IF;
    DELETE FROM idempotency WHERE subject = v_subject;
    v_carts := ARRAY(SELECT id FROM carts WHERE subject = v_subject ORDER BY id LIMIT p_limit FOR UPDATE);
    DELETE FROM carts WHERE id = ANY (v_carts);
    v_ids := ARRAY(
        SELECT id FROM orders
        WHERE subject = v_subject AND status IN ('completed', 'cancelled', 'expired') AND erased_at IS NULL
        ORDER BY id LIMIT p_limit FOR NO KEY UPDATE);
    UPDATE orders SET email = 'erased@souk.invalid', client_address = NULL, erased_at = now(), updated_at = now(),
        shipping_address = jsonb_build_object('name', '-', 'line1', '-', 'city', '-', 'country', shipping_address->'country')
    WHERE id = ANY (v_ids);
    UPDATE discount_uses SET customer = 'erased ' || order_id WHERE order_id = ANY (v_ids);
    UPDATE fulfilments SET tracking = NULL WHERE order_id = ANY (v_ids);
    UPDATE outbox SET payload = payload || '{"email": "erased@souk.invalid"}' WHERE aggregate = ANY (v_ids);
    erased := cardinality(v_ids);
    v_open := EXISTS (SELECT FROM orders WHERE subject = v_subject AND erased_at IS NULL);
    UPDATE erased_subjects SET look_at = CASE
        WHEN cardinality(v_ids) = p_limit OR cardinality(v_carts) = p_limit THEN now()
        WHEN v_open OR v_since > now() - p_tokens THEN now() + p_again END
    WHERE subject = v_subject;
END $$;

-- migrate:down
DROP FUNCTION erasures_next;
DROP FUNCTION erasures_take;
DROP TABLE erasure_checkpoint, erased_subjects;
ALTER TABLE orders DROP COLUMN erased_at;
