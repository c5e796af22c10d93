-- migrate:up
-- step: expand

-- Erasures are counted, for services that keep something about users. A number is given under a lock that is held until the
-- commit, so numbers become visible in their order: who has seen one has seen all before it.
ALTER TABLE users ADD COLUMN erased_number bigint;

CREATE FUNCTION number_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('users.erased_number', 0));
    NEW.erased_number := (SELECT COALESCE(max(erased_number), 0) + 1 FROM users);
    RETURN NEW;
END $$;
CREATE TRIGGER number_erasure BEFORE UPDATE ON users FOR EACH ROW
    WHEN (NEW.status = 'erased' AND OLD.status <> 'erased') EXECUTE FUNCTION number_erasure();

-- migrate:down
DROP TRIGGER number_erasure ON users;
DROP FUNCTION number_erasure();
ALTER TABLE users DROP COLUMN erased_number;
