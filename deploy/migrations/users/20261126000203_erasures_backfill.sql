-- migrate:up
-- step: backfill

-- Who was erased before numbers were given, behind those who were since: the index refuses a number that somebody got meanwhile.
UPDATE users u SET erased_number = x.number
FROM (SELECT id, (SELECT COALESCE(max(erased_number), 0) FROM users) + row_number() OVER (ORDER BY erased_at, id) AS number
    FROM users WHERE status = 'erased' AND erased_number IS NULL) x
WHERE u.id = x.id;

-- migrate:down
UPDATE users SET erased_number = NULL WHERE erased_number IS NOT NULL;
