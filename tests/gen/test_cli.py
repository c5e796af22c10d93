"""python -m gen as the build and a contributor run it."""

import os
import subprocess
import sys

import pytest
from sound import FILES, ROOT


def gen(folder, *words):
    env = os.environ | {"PYTHONPATH": str(ROOT / "schemas"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "gen", "--schemas", str(folder), *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_build_lists_what_it_wrote(folder, tmp_path):
    ran = gen(folder, "build", "--out", str(tmp_path / "out"), "--list")
    assert ran.returncode == 0, ran.stderr
    listed = set(ran.stdout.split())
    assert listed == {str(path) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for name in (
        "include/souk/err.h",
        "include/gen/config.h",
        "src/shop_dispatch.c",
        "src/routes.c",
        "src/openapi.c",
    ):
        assert str(tmp_path / "out" / name) in listed


def test_build_leaves_files_alone_that_would_not_change(folder, tmp_path):
    out = tmp_path / "out"
    gen(folder, "build", "--out", str(out))
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in out.rglob("*")
        if path.is_file()
    }
    (folder / "errors.yaml").write_text(FILES["errors.yaml"].replace("Our fault", "Our own fault"))
    gen(folder, "build", "--out", str(out))
    changed = {
        path.name
        for path, was in before.items()
        if (path.stat().st_mtime_ns, path.read_bytes()) != was
    }
    assert changed == {"err.h", "err.c", "openapi.c"}


def test_build_is_the_same_every_time(folder, tmp_path):
    for name in ("a", "b"):
        gen(folder, "build", "--out", str(tmp_path / name))
    for path in (tmp_path / "a").rglob("*.*"):
        if path.is_file():
            assert (
                path.read_bytes()
                == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
            )


def test_a_bad_schema_is_named_and_nothing_is_written(folder, tmp_path):
    (folder / "stock.yaml").write_text(FILES["stock.yaml"].replace("status: 200", "status: 299"))
    ran = gen(folder, "build", "--out", str(tmp_path / "out"))
    assert ran.returncode == 1
    assert ran.stderr.startswith("stock.yaml:18: ") and "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_docs_then_check(folder, tmp_path):
    assert gen(folder, "check").returncode == 1
    assert gen(folder, "docs").returncode == 0
    ran = gen(folder, "check")
    assert ran.returncode == 0, ran.stderr
    assert {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() and path.suffix != ".yaml"
    } == {
        ".env.example",
        "docs/api/events.md",
        "docs/api/openapi.json",
        "docs/api/reference.md",
        "docs/configuration.md",
        "docs/errors.md",
        "docs/metrics.md",
        "schemas/lock.json",
    }


@pytest.mark.parametrize(
    "name",
    [
        ".env.example",
        "docs/api/events.md",
        "docs/api/openapi.json",
        "docs/api/reference.md",
        "docs/configuration.md",
        "docs/errors.md",
        "docs/metrics.md",
        "schemas/lock.json",
    ],
)
def test_check_sees_drift(folder, tmp_path, name):
    gen(folder, "docs")
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + b" ")
    ran = gen(folder, "check")
    assert ran.returncode == 1 and f"{name}: differs from the schemas; run" in ran.stderr


def test_docs_does_not_paper_over_a_break(folder, tmp_path):
    gen(folder, "docs")
    before = (tmp_path / "schemas/lock.json").read_bytes()
    (folder / "stock.yaml").write_text(
        FILES["stock.yaml"].replace("count: {type: int", "total: {type: int")
    )
    ran = gen(folder, "docs")
    assert ran.returncode == 1 and "methods.stock.count.reply.count was removed" in ran.stderr
    assert (tmp_path / "schemas/lock.json").read_bytes() == before
    (folder / "lock_waivers.yaml").write_text(
        "waivers:\n  - {breaks: methods.stock.count.reply.count, reason: Nobody called it.}\n"
    )
    assert gen(folder, "docs").returncode == 0 and gen(folder, "check").returncode == 0
