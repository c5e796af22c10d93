"""deploy/migrations/check.py: one bad migration for each rule, and that what it recommends passes."""

import subprocess
import sys

import pytest
from stack.migrations import FOLDER

sys.path.insert(0, str(FOLDER))

import check

BASE = """\
CREATE TYPE mood AS ENUM ('calm');
CREATE SEQUENCE numbers;
CREATE TABLE carts (id text PRIMARY KEY, note text, size bigint CONSTRAINT carts_size CHECK (size > 0), owner text UNIQUE);
CREATE INDEX carts_note ON carts (note);
CREATE VIEW big AS SELECT * FROM carts WHERE size > 9;
CREATE FUNCTION one(x bigint) RETURNS integer LANGUAGE sql AS 'SELECT 1';
"""
ALONE = " transaction:false"


def write(folder, files):
    """files: (step, statements, what follows `migrate:up`) in their order; the first is version 1."""
    service = folder / "shop"
    service.mkdir(exist_ok=True)
    for version, (step, up, head) in enumerate(files, 1):
        down = "SELECT 1;"
        (service / f"{version:014}_step.sql").write_text(
            f"-- migrate:up{head}\n-- step: {step}\n{up}\n-- migrate:down{head}\n{down}\n"
        )
    return service


def problems(folder, *files):
    """What is said of files that come after BASE; BASE itself is good."""
    found, count = check.check_service(write(folder, [("expand", BASE, ""), *files]))
    assert count == len(files) + 1
    assert [each for each in found if "00000000000001_" in each] == []
    return found


def expand(up, head=""):
    return ("expand", up, head)


# step, what it does, what is said
BAD = [
    # tables
    ("expand", "DROP TABLE carts;", "carts is dropped, and the previous program uses it"),
    ("expand", "DROP TABLE IF EXISTS carts;", "carts is dropped"),
    ("expand", "DROP VIEW big;", "big is dropped"),
    ("expand", "DROP FUNCTION one(bigint);", "one is dropped"),
    ("expand", "DROP SEQUENCE numbers;", "numbers is dropped"),
    ("expand", "DROP TYPE mood;", "mood is dropped"),
    ("expand", "ALTER TABLE carts DROP COLUMN note;", "carts.note is dropped"),
    (
        "expand",
        "ALTER TABLE carts DROP CONSTRAINT carts_owner_key;",
        "carts.carts_owner_key is dropped",
    ),
    ("expand", "ALTER TABLE carts RENAME TO baskets;", "carts is renamed"),
    (
        "expand",
        "ALTER TABLE carts RENAME COLUMN note TO remark;",
        "carts is renamed, or a part of it",
    ),
    ("expand", "ALTER FUNCTION one(bigint) RENAME TO two;", "something is renamed"),
    ("expand", "ALTER TYPE mood RENAME VALUE 'calm' TO 'mild';", "a value of a type is renamed"),
    ("expand", "ALTER TABLE carts ALTER COLUMN size TYPE text;", "carts.size changes its type"),
    ("expand", "ALTER TABLE carts ALTER COLUMN note SET NOT NULL;", "carts.note becomes NOT NULL"),
    (
        "contract",
        "ALTER TABLE carts ALTER COLUMN note SET NOT NULL;",
        "carts.note becomes NOT NULL",
    ),
    ("expand", "ALTER TABLE carts ALTER COLUMN note DROP DEFAULT;", "carts.note loses its default"),
    ("expand", "ALTER TABLE carts SET UNLOGGED;", "(AT_SetUnLogged) is not known to be safe"),
    ("expand", "ALTER TABLE carts ENABLE ROW LEVEL SECURITY;", "is not known to be safe"),
    (
        "expand",
        "ALTER VIEW big SET (security_barrier);",
        "big, which is no table, is not known to be safe",
    ),
    ("expand", "TRUNCATE carts;", "carts is emptied"),
    ("expand", "LOCK TABLE carts;", "LOCK TABLE holds up every program"),
    (
        "expand",
        "REVOKE UPDATE ON carts FROM souk_shop;",
        "rights on carts are taken from the previous program",
    ),
    # new columns
    (
        "expand",
        "ALTER TABLE carts ADD COLUMN x text NOT NULL;",
        "carts.x is NOT NULL without a default",
    ),
    ("expand", "ALTER TABLE carts ADD COLUMN x text UNIQUE;", "carts.x makes an index"),
    (
        "expand",
        "ALTER TABLE carts ADD COLUMN x text CHECK (x > '');",
        "carts.x brings a constraint",
    ),
    (
        "expand",
        "ALTER TABLE carts ADD COLUMN x text REFERENCES carts;",
        "carts.x brings a constraint",
    ),
    ("expand", "ALTER TABLE carts ADD COLUMN x bigserial;", "carts.x rewrites all of carts"),
    (
        "expand",
        "ALTER TABLE carts ADD COLUMN x bigint GENERATED ALWAYS AS IDENTITY;",
        "carts.x rewrites all of carts",
    ),
    (
        "expand",
        "ALTER TABLE carts ADD COLUMN x bigint GENERATED ALWAYS AS (size * 2) STORED;",
        "carts.x rewrites all of carts",
    ),
    (
        "expand",
        "ALTER TABLE carts ADD COLUMN x uuid DEFAULT gen_random_uuid();",
        "the default of carts.x may differ from row to row",
    ),
    # constraints and indexes
    (
        "expand",
        "ALTER TABLE carts ADD CONSTRAINT c CHECK (size < 9);",
        "all of carts is read under lock for c; ADD CONSTRAINT ... NOT VALID",
    ),
    (
        "expand",
        "ALTER TABLE carts ADD CONSTRAINT c FOREIGN KEY (owner) REFERENCES carts;",
        "all of carts is read under lock for c",
    ),
    ("expand", "ALTER TABLE carts ADD CONSTRAINT c UNIQUE (note);", "c makes an index"),
    (
        "expand",
        "ALTER TABLE carts ADD CONSTRAINT c CHECK (size < 9) NOT VALID; ALTER TABLE carts VALIDATE CONSTRAINT c;",
        "c is validated under the lock by which it was added",
    ),
    (
        "expand",
        "CREATE INDEX i ON carts (size);",
        "an index is made on carts while nobody may write",
    ),
    ("expand", "CREATE INDEX CONCURRENTLY i ON carts (size);", "does not work in a transaction"),
    ("expand", "DROP INDEX carts_note;", "an index is dropped while nobody may read its table"),
    ("expand", "DROP INDEX CONCURRENTLY carts_note;", "does not work in a transaction"),
    ("expand", "REINDEX TABLE carts;", "ReindexStmt is not known to be safe"),
    ("expand", "VACUUM carts;", "VacuumStmt is not known to be safe"),
    ("expand", "SET search_path = x;", "VariableSetStmt is not known to be safe"),
    ("expand", "COMMIT;", "TransactionStmt is not known to be safe"),
    # rows
    (
        "expand",
        "UPDATE carts SET note = '' WHERE note IS NULL;",
        "rows of carts are changed; put it into a backfill",
    ),
    ("expand", "DELETE FROM carts WHERE size = 1;", "rows of carts are changed"),
    ("backfill", "UPDATE carts SET note = '';", "all rows of carts are changed at once"),
    ("backfill", "DELETE FROM carts;", "all rows of carts are changed at once"),
    ("backfill", "ALTER TABLE carts ADD COLUMN x text;", "a backfill step changes more than rows"),
    ("backfill", "CREATE TABLE t (x text);", "a backfill step changes more than rows"),
    # names
    ("expand", "CREATE TABLE shop.t (x text);", "shop.t names a schema"),
    ("backfill", "DELETE FROM users.users WHERE id = '';", "users.users names a schema"),
    # blocks
    ("expand", "DO $$ BEGIN DROP TABLE carts; END $$;", "carts is dropped"),
    (
        "expand",
        "DO $$ BEGIN IF true THEN UPDATE carts SET size = 1; END IF; END $$;",
        "rows of carts are changed",
    ),
    (
        "expand",
        "DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'carts'; END $$;",
        "EXECUTE hides what it does",
    ),
    # contract
    ("contract", "DROP TABLE carts;", "no earlier migration says that it is retired"),
    (
        "contract",
        "ALTER TABLE carts DROP COLUMN note;",
        "no earlier migration says that it is retired",
    ),
    (
        "contract",
        "-- retires: carts.note\nALTER TABLE carts DROP COLUMN note;",
        "a contract step retires",
    ),
]


@pytest.mark.parametrize(("step", "up", "said"), BAD)
def test_rule(tmp_path, step, up, said):
    found = problems(tmp_path, (step, up, ""))
    hits = [each for each in found if said in each]
    assert hits, found
    line = 4 if up.startswith("--") and "retires;" not in hits[0] else 3
    assert f"00000000000002_step.sql:{line}: " in hits[0] and "; " in hits[0]


@pytest.mark.parametrize(
    ("up", "said"),
    [
        (
            "CREATE INDEX CONCURRENTLY i ON carts (size); SELECT 1;",
            "transaction:false with 2 statements",
        ),
        (
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON carts (size);",
            "takes the invalid index of a failed try",
        ),
        ("CREATE TABLE t (x text);", "transaction:false is not for this statement"),
        ("ALTER TABLE carts ADD COLUMN x text;", "transaction:false is not for this statement"),
        ("DO $$ BEGIN PERFORM 1; END $$;", "a DO block outside a transaction does not COMMIT"),
    ],
)
def test_outside_a_transaction(tmp_path, up, said):
    found = problems(tmp_path, expand(up, ALONE))
    assert any(said in each for each in found), found


def test_cascade(tmp_path):
    retire = expand("-- retires: carts, carts.note\nSELECT 1;")
    for up in ("DROP TABLE carts CASCADE;", "ALTER TABLE carts DROP COLUMN note CASCADE;"):
        found = problems(tmp_path, retire, ("contract", up, ""))
        assert ["CASCADE drops what is not named" in each for each in found] == [True]


GOOD = [
    [
        expand(
            "ALTER TABLE carts ADD COLUMN x text; ALTER TABLE carts ADD COLUMN y bigint NOT NULL DEFAULT 0;"
        )
    ],
    [expand("ALTER TABLE carts ADD COLUMN at timestamptz NOT NULL DEFAULT now();")],
    [expand("CREATE INDEX CONCURRENTLY i ON carts (size);", ALONE)],
    [
        expand("ALTER TABLE carts ADD CONSTRAINT c CHECK (size < 9) NOT VALID;"),
        ("backfill", "ALTER TABLE carts VALIDATE CONSTRAINT c;", ""),
    ],
    [
        expand("CREATE UNIQUE INDEX CONCURRENTLY i ON carts (note);", ALONE),
        expand("ALTER TABLE carts ADD CONSTRAINT c UNIQUE USING INDEX i;"),
    ],
    # A check that refuses more than it should makes room for a wider one.
    [
        expand(
            "ALTER TABLE carts DROP CONSTRAINT carts_size;"
            "ALTER TABLE carts ADD CONSTRAINT carts_size CHECK (size >= 0) NOT VALID;"
        )
    ],
    [
        (
            "backfill",
            "DO $$ BEGIN LOOP UPDATE carts SET note = '' WHERE id IN (SELECT id FROM carts WHERE note IS NULL LIMIT 100);"
            " EXIT WHEN NOT FOUND; COMMIT; END LOOP; END $$;",
            ALONE,
        )
    ],
    # A column becomes NOT NULL.
    [
        expand("ALTER TABLE carts ADD CONSTRAINT c CHECK (note IS NOT NULL) NOT VALID;"),
        ("backfill", "UPDATE carts SET note = '' WHERE note IS NULL;", ""),
        ("backfill", "ALTER TABLE carts VALIDATE CONSTRAINT c;", ""),
        ("contract", "ALTER TABLE carts ALTER COLUMN note SET NOT NULL;", ""),
    ],
    # What goes was retired before.
    [
        expand("-- retires: carts.note, big, one\n-- retires: carts_note\nSELECT 1;"),
        (
            "contract",
            "ALTER TABLE carts DROP COLUMN note; DROP VIEW big; DROP FUNCTION one(bigint);",
            "",
        ),
        ("contract", "DROP INDEX CONCURRENTLY carts_note;", ALONE),
    ],
    # What the same file made is nobody's yet.
    [
        expand(
            "CREATE TABLE t (x text); CREATE INDEX ON t (x); UPDATE t SET x = ''; ALTER TABLE t ALTER COLUMN x SET NOT NULL;"
            "ALTER TABLE t ADD CONSTRAINT c CHECK (x > ''); REVOKE UPDATE ON t FROM souk_shop; DROP TABLE t;"
        )
    ],
    [
        expand(
            "CREATE OR REPLACE FUNCTION one(x bigint) RETURNS integer LANGUAGE sql AS 'SELECT 2';"
        )
    ],
    [expand("CREATE OR REPLACE VIEW big AS SELECT * FROM carts WHERE size > 8;")],
    [expand("INSERT INTO carts (id) VALUES ('a'); ALTER TYPE mood ADD VALUE 'wild';")],
    [expand("GRANT SELECT ON carts TO souk_shop; COMMENT ON TABLE carts IS 'Baskets';")],
    [
        (
            "contract",
            "ALTER TABLE carts ALTER COLUMN note DROP DEFAULT; REVOKE UPDATE ON carts FROM souk_shop;",
            "",
        )
    ],
]


@pytest.mark.parametrize("files", GOOD)
def test_the_right_way_passes(tmp_path, files):
    assert problems(tmp_path, *files) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-- migrate:up\n", "-- migrate: up\n", ":1: the first line is no `-- migrate:up`"),
        ("-- step: expand", "-- step: grow", ":2: the second line names no step"),
        ("-- step: expand\n", "", ":2: the second line names no step"),
        ("-- migrate:down\n", "", "there is no one `-- migrate:down`"),
        ("SELECT 1;\n", "", "`-- migrate:down` says nothing"),
        (
            "CREATE TABLE carts",
            "CREATE TABL carts",
            ':5: PostgreSQL cannot read this: syntax error at or near "TABL"',
        ),
    ],
)
def test_the_form_of_a_file(tmp_path, old, new, said):
    service = write(tmp_path, [("expand", BASE, "")])
    (path,) = service.iterdir()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found, _ = check.check_service(service)
    assert any(said in each for each in found), found


def test_the_line_is_that_of_the_statement(tmp_path):
    up = "-- Größe: ä ö ü €\nALTER TABLE carts ADD COLUMN ä text;\n\n-- why\n/* and\n   how */ DROP TABLE carts;"
    (found,) = problems(tmp_path, expand(up))
    assert "_step.sql:8: carts is dropped" in found


def test_names_of_files(tmp_path):
    service = write(tmp_path, [("expand", BASE, "")])
    (service / "1_x.sql").write_text("")
    (service / "00000000000001_twice.sql").write_text(
        (service / "00000000000001_step.sql").read_text()
    )
    found, count = check.check_service(service)
    assert count == 3
    assert any("1_x.sql:1: its name is no YYYYMMDDhhmmss_words.sql" in each for each in found)
    assert any(
        "00000000000001_step.sql has the same version" in each or "twice.sql has" in each
        for each in found
    )


def test_the_command(tmp_path):
    def run(*arguments):
        words = [sys.executable, str(FOLDER / "check.py"), *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    write(tmp_path, [("expand", BASE, ""), ("expand", "DROP TABLE carts;", "")])
    ran = run(tmp_path)
    assert ran.returncode == 1 and ran.stdout.endswith("migrations: 2 files, 1 problems\n")


def test_the_projects_own_migrations_pass():
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "check.py")], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout
