"""The README's tour, as written, against a private stack with the seed catalogue."""

import re
import subprocess

import pytest
import requests
from stack import keys
from support.stack import ROOT, Stack, wait_for


@pytest.fixture(scope="module")
def stack(servers):
    """All services that the tour visits."""
    with Stack(servers, users=1, orders=1) as started:
        yield started


@pytest.fixture(scope="module")
def tour(stack, tmp_path_factory):
    """Runs the tour's commands in one shell, in a folder that looks like the repository after `make up`; returns what each block printed."""
    stack.seed()
    board = f"{stack.url}/v1/products/walnut-serving-board"
    wait_for(
        lambda: all(
            variant.get("availability") == "in_stock"
            for variant in requests.get(board, timeout=10).json()["variants"]
        ),
        what="the board shows the stock of the seed",
    )
    folder = tmp_path_factory.mktemp("tour")
    (folder / "var" / "secrets").mkdir(parents=True)
    (folder / "var" / "secrets" / "admin-key").write_text(stack.api_key + "\n")
    keys.write_operator_file(stack.settings, stack.api_key, stack.service_urls)
    (folder / "var" / "secrets" / "soukctl.env").symlink_to(stack.settings.operator_file)
    (folder / "build" / "release").mkdir(parents=True)
    (folder / "build" / "release" / "bin").symlink_to(stack.settings.bin)
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 9
    script = "\n".join(f"{block}\necho; echo ==== {number}" for number, block in enumerate(blocks))
    assert "SOUK=http://127.0.0.1:8080\n" in script
    script = script.replace("SOUK=http://127.0.0.1:8080\n", f"SOUK={stack.url}\n")
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.split(r"==== \d\n", done.stdout)


def test_search_finds_by_beginning_and_with_a_typo(tour):
    assert '"slug":"walnut-serving-board"' in tour[0]
    assert "teapot" in tour[0]


def test_filters_and_facets(tour):
    assert '"data":[{' in tour[1] and '"facets":[{' in tour[1]


def test_reading_and_304(tour):
    assert "HTTP/1.1 200 OK" in tour[2] and "HTTP/1.1 304 Not Modified" in tour[2]
    assert '"availability":"' in tour[2]


def test_the_wrong_request_is_answered_as_the_readme_shows(tour):
    shown = re.search(r"```json\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)[1]

    def without_ids(text):
        return re.sub(r'"(request_id|trace_id)":"[0-9a-f]*"', "", text.strip())

    assert without_ids(tour[3]) == without_ids(shown)


def test_an_account(tour):
    assert tour[4].startswith('{"email":"ada@example.com"}')
    assert '"name":"Ada Lovelace"' in tour[4]


def test_a_cart_with_a_discount_and_taxes(tour):
    assert '"grand_total":{"amount":12420,"currency":"EUR"}' in tour[5], "2 x 69.00, less 10 %"
    assert '"discount_total":{"amount":1380,"currency":"EUR"}' in tour[5]
    assert '"tax_total":{"amount":1983,"currency":"EUR"}' in tour[5], "19 % of 124.20, contained"
    assert '"problems":[]' in tour[5]


def test_an_order_is_placed_once_and_cancelled(tour):
    assert "Idempotency-Replayed: true" in tour[6] and "HTTP/1.1 201 Created" in tour[6]
    assert tour[6].count('"status":"placed"') == 2 and '"status":"cancelled"' in tour[6]
    assert len(set(re.findall("ord_[0-9A-Z]+", tour[6]))) == 1
    assert tour[6].index('"type":"placed"') < tour[6].index('"type":"cancelled"')


def test_writing_with_a_key_and_a_version(tour):
    assert '"name":"Better mug"' in tour[7] and '"code":"precondition_failed"' in tour[7]
    assert '"why":"create"' in tour[7] and '"why":"update"' in tour[7]


def test_the_operator_commands(tour):
    assert "catalog" in tour[8] and '"text":"hello"' in tour[8]
    assert "3 created, 0 updated, 0 unchanged, 0 failed" in tour[8]
    assert '"type" : "order.cancelled"' in tour[8]
