-- migrate:up
-- step: expand

-- Everything of the users service. Whoever may hold two of these rows at a time locks users before the rows that belong to a
-- user, several users by id, and buckets of throttle by key.

-- ---- accounts ----

CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,                        -- usr_ + ULID
    email text,                                             -- as written; where mail goes
    email_folded text COLLATE "C" CONSTRAINT users_email_folded UNIQUE, -- what is compared
    email_verified_at timestamptz,
    password_hash text,
    name text,
    name_folded text COLLATE "C",
    phone text,
    locale text,
    roles text[] NOT NULL DEFAULT '{customer}',
    status text NOT NULL DEFAULT 'active' CONSTRAINT users_status CHECK (status IN ('active', 'disabled', 'erased')),
    totp_sealed bytea,                                      -- the secret that logins need; null: no second factor
    totp_pending bytea,                                     -- enrolled, not yet confirmed
    totp_step bigint NOT NULL DEFAULT 0,                    -- the last step whose code was used
    version bigint NOT NULL DEFAULT 1,
    events bigint NOT NULL DEFAULT 0,                       -- the last outbox sequence
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    -- What is left of an erased account says only that it was one.
    CONSTRAINT users_erased_are_empty CHECK (status <> 'erased' OR (
        erased_at IS NOT NULL AND roles = '{}'
        AND COALESCE(email, email_folded, password_hash, name, name_folded, phone, locale) IS NULL
        AND COALESCE(totp_sealed, totp_pending) IS NULL AND email_verified_at IS NULL)),
    CONSTRAINT users_can_log_in CHECK (status = 'erased' OR (email_folded IS NOT NULL AND password_hash IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX users_name_folded ON users (name_folded);
CREATE INDEX users_admins ON users (id) WHERE 'admin' = ANY (roles);

CREATE TABLE addresses (
    id text COLLATE "C" PRIMARY KEY,                        -- adr_ + ULID
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    name text NOT NULL,
    company text,
    line1 text NOT NULL,
    line2 text,
    city text NOT NULL,
    region text,
    postal_code text,
    country text NOT NULL,
    phone text,
    default_shipping boolean NOT NULL,
    default_billing boolean NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX addresses_user_id ON addresses (user_id, id);
CREATE UNIQUE INDEX addresses_default_shipping ON addresses (user_id) WHERE default_shipping;
CREATE UNIQUE INDEX addresses_default_billing ON addresses (user_id) WHERE default_billing;

-- ---- sessions and what opens them ----

-- A session is a family of refresh tokens, of which one is valid; all are kept as SHA-256 (workers/users/token.h).
CREATE TABLE sessions (
    id text COLLATE "C" PRIMARY KEY,                        -- ses_ + ULID
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    family bytea NOT NULL,
    current bytea NOT NULL,
    previous bytea,
    second_factor boolean NOT NULL,                         -- it was opened, or has proved itself since, by a code
    address text,
    device text,
    created_at timestamptz NOT NULL DEFAULT now(),
    rotated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,                        -- moves with each exchange, never beyond ends_at
    ends_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_user_id ON sessions (user_id, id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Tokens that are sent by mail. Several of a kind may be valid: one that is asked for by somebody else does not end the owner's.
CREATE TABLE one_time_tokens (
    hash bytea PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    kind text NOT NULL CONSTRAINT one_time_tokens_kind CHECK (kind IN ('password', 'email')),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX one_time_tokens_user_id ON one_time_tokens (user_id, kind);
CREATE INDEX one_time_tokens_expires_at ON one_time_tokens (expires_at);

-- Keyed hashes; a used one is deleted.
CREATE TABLE recovery_codes (
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    hash bytea NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- Where the owner of an account has logged in from: docs/security.md, throttling.
CREATE TABLE known_addresses (
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    address text COLLATE "C" NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, address)
);
CREATE INDEX known_addresses_last_at ON known_addresses (last_at);

-- ---- throttling ----

-- One row a bucket: the time at which it will be empty (GCRA). Not logged: a crash forgives everybody, and a guess costs no
-- write to disk.
CREATE UNLOGGED TABLE throttle (
    bucket bytea PRIMARY KEY,
    full_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX throttle_full_at ON throttle (full_at);

-- Takes one place in each bucket, or in none: then it returns the milliseconds until the one that was full has a place again.
-- A place comes back each gap; burst places are there at the most.
CREATE FUNCTION throttle_take(p_buckets bytea[], p_gaps_ms bigint[], p_bursts bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    one record;
    at timestamptz := clock_timestamp();
    wait_ms bigint := 0;
BEGIN
    FOR one IN
        SELECT b.bucket, make_interval(secs => b.gap_ms / 1000.0) AS gap, b.burst
        FROM unnest(p_buckets, p_gaps_ms, p_bursts) AS b (bucket, gap_ms, burst) ORDER BY b.bucket
    LOOP
        INSERT INTO throttle AS t (bucket, full_at) VALUES (one.bucket, at + one.gap)
        ON CONFLICT (bucket) DO UPDATE SET full_at = GREATEST(t.full_at, at) + one.gap
            WHERE GREATEST(t.full_at, at) + one.gap <= at + one.gap * one.burst;
        IF NOT FOUND THEN
            SELECT GREATEST(1, ceil(extract(epoch FROM t.full_at - at - one.gap * (one.burst - 1)) * 1000))::bigint INTO wait_ms
            FROM throttle t WHERE t.bucket = one.bucket;
            RAISE EXCEPTION USING ERRCODE = 'US429';        -- gives back what was taken before
        END IF;
    END LOOP;
    RETURN 0;
EXCEPTION WHEN SQLSTATE 'US429' THEN
    RETURN GREATEST(1, wait_ms);
END $$;

-- Gives a place back to each bucket, or empties it whole.
CREATE FUNCTION throttle_give(p_buckets bytea[], p_gaps_ms bigint[], p_whole boolean[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT b.bucket, make_interval(secs => b.gap_ms / 1000.0) AS gap, b.whole
        FROM unnest(p_buckets, p_gaps_ms, p_whole) AS b (bucket, gap_ms, whole) ORDER BY b.bucket
    LOOP
        IF one.whole THEN
            DELETE FROM throttle WHERE bucket = one.bucket;
        ELSE
            UPDATE throttle SET full_at = full_at - one.gap WHERE bucket = one.bucket;
        END IF;
    END LOOP;
END $$;

-- ---- keys ----

-- next is published and does not sign yet, so that every gateway knows it before its first token; retired stays published until
-- its last token has expired.
CREATE TABLE signing_keys (
    kid text COLLATE "C" PRIMARY KEY,
    state text NOT NULL CONSTRAINT signing_keys_state CHECK (state IN ('next', 'active', 'retired')),
    x bytea NOT NULL,
    y bytea NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    retired_at timestamptz
);
CREATE UNIQUE INDEX signing_keys_one_of_each ON signing_keys (state) WHERE state IN ('next', 'active');

CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY,                        -- key_ + ULID
    name text NOT NULL,
    owner_id text COLLATE "C" REFERENCES users (id),        -- whose end is the key's too; null: nobody's
    scopes text[] NOT NULL,
    hash bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_owner_id ON api_keys (owner_id);
CREATE INDEX api_keys_live ON api_keys (id) WHERE revoked_at IS NULL;

-- Grows with every change of what gateways must know; workers look at it instead of at the keys.
CREATE TABLE auth_revision (
    one boolean PRIMARY KEY DEFAULT true CONSTRAINT auth_revision_one CHECK (one),
    revision bigint NOT NULL
);
INSERT INTO auth_revision (revision) VALUES (1);

-- A statement that touched no row has changed nothing: gateways and workers need not read everything again.
CREATE FUNCTION auth_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        UPDATE auth_revision SET revision = revision + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER auth_inserted AFTER INSERT ON signing_keys REFERENCING NEW TABLE AS changed EXECUTE FUNCTION auth_changed();
CREATE TRIGGER auth_updated AFTER UPDATE ON signing_keys REFERENCING NEW TABLE AS changed EXECUTE FUNCTION auth_changed();
CREATE TRIGGER auth_deleted AFTER DELETE ON signing_keys REFERENCING OLD TABLE AS changed EXECUTE FUNCTION auth_changed();
CREATE TRIGGER auth_inserted AFTER INSERT ON api_keys REFERENCING NEW TABLE AS changed EXECUTE FUNCTION auth_changed();
CREATE TRIGGER auth_updated AFTER UPDATE ON api_keys REFERENCING NEW TABLE AS changed EXECUTE FUNCTION auth_changed();
CREATE TRIGGER auth_deleted AFTER DELETE ON api_keys REFERENCING OLD TABLE AS changed EXECUTE FUNCTION auth_changed();

-- A key can do no more than its owner. Whoever makes a key holds its owner's row, so none is overlooked.
CREATE FUNCTION auth_owner_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM api_keys WHERE owner_id = NEW.id AND revoked_at IS NULL) THEN
        UPDATE auth_revision SET revision = revision + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER auth_owner_changed AFTER UPDATE OF status, roles ON users FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.roles IS DISTINCT FROM NEW.roles)
    EXECUTE FUNCTION auth_owner_changed();

-- ---- what every service on PostgreSQL has ----

CREATE TABLE idempotency (
    subject text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    reply bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, method, key)
);
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

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
-- The service's role loses the right as well; where the role does not exist (a scratch database) there is nothing to take.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'souk_users') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM souk_users;
        REVOKE INSERT, DELETE ON auth_revision FROM souk_users;
        REVOKE DELETE ON users FROM souk_users;
    END IF;
END $$;

-- migrate:down

DROP TABLE audit, outbox, idempotency, auth_revision, api_keys, signing_keys, throttle, known_addresses, recovery_codes,
    one_time_tokens, sessions, addresses, users;
DROP FUNCTION refuse_change, auth_owner_changed, auth_changed, throttle_give, throttle_take;
