"""Stock as staff keep it: receive, adjust, set, thresholds, the ledger; and what the catalogue is told of it."""

import json
import uuid

import pytest
from support.api import Api, euro, soukctl
from support.stack import Stack, wait_for


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(
        servers, catalog=1, diag=0, orders=2, env={"SOUK_ORDERS_FOLLOW_MS": "50"}
    ) as started:
        yield started


@pytest.fixture(scope="module")
def api(stack):
    return StockApi(stack)


class StockApi(Api):
    def stock(self, sku, verb="GET", act="", key=None, **body):
        """One request about a SKU's stock; writes get a key of their own unless one is given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex} if verb == "POST" else {}
        path = f"/v1/admin/stock/{sku}{act}"
        return self.request(verb, path, headers=headers, **({"json": body} if body else {}))

    def sku(self, on_hand=0):
        """A SKU of a new product, with so much stock."""
        made = self.create()
        sku = made["variants"][0]["sku"]
        wait_for(lambda: self.stock(sku).status_code == 200, what=f"{sku} is known to orders")
        if on_hand:
            assert self.stock(sku, "POST", "/receive", quantity=on_hand).status_code == 200
        return sku


def entries(api, sku):
    return api.get(f"/v1/admin/stock/{sku}/ledger").json()["data"]


def numbers(answer):
    assert answer.status_code == 200, answer.text
    return tuple(answer.json()[name] for name in ("on_hand", "reserved", "available"))


def reserve(stack, sku, quantity):
    with stack.connect("orders") as db:
        db.execute("UPDATE skus SET reserved = %s WHERE sku = %s", (quantity, sku))


def test_stock_comes_goes_and_is_counted(api, stack):
    made = api.create(name="Counted", variants=[{"sku": "COUNTED", "price": euro(1234)}])
    wait_for(lambda: api.stock("COUNTED").status_code == 200, what="COUNTED is known")
    item = api.stock("COUNTED").json()
    assert item.pop("updated_at")
    assert item == {
        "sku": "COUNTED",
        "product_id": made["id"],
        "product_slug": made["slug"],
        "name": "Counted",
        "option_values": {},
        "price": euro(1234),
        "sellable": True,
        "on_hand": 0,
        "reserved": 0,
        "available": 0,
        "low_at": 5,
        "availability": "none",
    }
    received = api.stock("COUNTED", "POST", "/receive", quantity=40, note="Delivery note 4711")
    assert numbers(received) == (40, 0, 40) and received.json()["availability"] == "in_stock"
    assert numbers(api.stock("COUNTED", "POST", "/adjust", delta=-2, reason="damaged")) == (
        38,
        0,
        38,
    )
    assert numbers(api.stock("COUNTED", "PUT", "/on-hand", on_hand=5, note="Counted")) == (5, 0, 5)
    assert api.stock("COUNTED").json()["availability"] == "low"
    assert api.stock("COUNTED", "PATCH", low_at=4).json()["availability"] == "in_stock"
    told = [
        (each["delta"], each["reason"], each["cause"], each["note"])
        for each in entries(api, "COUNTED")
    ]
    assert told == [
        (-33, "set", None, "Counted"),
        (-2, "adjust", "damaged", None),
        (40, "receive", None, "Delivery note 4711"),
    ]
    assert {each["actor"] for each in entries(api, "COUNTED")} != {""}
    with stack.connect("orders") as db:
        rows = db.execute(
            "SELECT action, before::text, after::text FROM audit WHERE target = 'COUNTED' ORDER BY at, id"
        ).fetchall()
        assert rows == [
            ("stock.receive", '{"COUNTED": 0}', '{"COUNTED": 40}'),
            ("stock.adjust", '{"COUNTED": 40}', '{"COUNTED": 38}'),
            ("stock.set", '{"COUNTED": 38}', '{"COUNTED": 5}'),
            ("stock.update", '{"low_at": 5}', '{"low_at": 4}'),
        ]


def test_setting_what_is_so_already_leaves_no_trace(api, stack):
    sku = api.sku(on_hand=7)
    before = entries(api, sku)
    assert numbers(api.stock(sku, "PUT", "/on-hand", on_hand=7)) == (7, 0, 7)
    assert entries(api, sku) == before


def test_what_orders_hold_cannot_be_taken_away(api, stack):
    sku = api.sku(on_hand=10)
    reserve(stack, sku, 4)
    try:
        for act, verb, body in (
            ("/adjust", "POST", {"delta": -7, "reason": "lost"}),
            ("/on-hand", "PUT", {"on_hand": 3}),
        ):
            answer = api.stock(sku, verb, act, **body)
            assert (answer.status_code, answer.json()["code"]) == (409, "stock_reserved")
            assert sku in answer.json()["detail"]
        assert numbers(api.stock(sku, "PUT", "/on-hand", on_hand=4)) == (4, 4, 0)
        assert api.stock(sku).json()["availability"] == "none"
    finally:
        reserve(stack, sku, 0)


@pytest.mark.parametrize(
    ("verb", "act", "body", "pointer"),
    [
        ("POST", "/receive", {"quantity": 0}, "/quantity"),
        ("POST", "/receive", {"quantity": 1000001}, "/quantity"),
        ("POST", "/receive", {"quantity": -1}, "/quantity"),
        ("POST", "/adjust", {"delta": 0, "reason": "lost"}, "/delta"),
        ("POST", "/adjust", {"delta": -11, "reason": "lost"}, "/delta"),
        ("POST", "/adjust", {"delta": 1, "reason": "mood"}, "/reason"),
        ("POST", "/adjust", {"delta": 1}, "/reason"),
        ("PUT", "/on-hand", {"on_hand": -1}, "/on_hand"),
        ("PUT", "/on-hand", {"on_hand": 1000000001}, "/on_hand"),
        ("PATCH", "", {"low_at": -1}, "/low_at"),
        ("POST", "/receive", {"quantity": 1, "note": "two\nlines"}, "/note"),
        ("POST", "/receive", {"quantity": 1, "on_hand": 5}, "/on_hand"),
    ],
)
def test_bad_numbers_are_named_and_change_nothing(api, verb, act, body, pointer):
    sku = bad_numbers_sku(api)
    answer = api.stock(sku, verb, act, **body)
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert numbers(api.stock(sku)) == (10, 0, 10) and len(entries(api, sku)) == 1


_bad_numbers = []


def bad_numbers_sku(api):
    """One for all the bad numbers."""
    if not _bad_numbers:
        _bad_numbers.append(api.sku(on_hand=10))
    return _bad_numbers[0]


def test_on_hand_has_an_upper_bound(api):
    sku = api.sku()
    assert api.stock(sku, "PUT", "/on-hand", on_hand=1000000000).status_code == 200
    assert api.stock(sku, "POST", "/receive", quantity=1).status_code == 422


def test_unknown_skus_are_404(api):
    for verb, act, body in (
        ("GET", "", {}),
        ("GET", "/ledger", {}),
        ("PATCH", "", {"low_at": 1}),
        ("POST", "/receive", {"quantity": 1}),
        ("PUT", "/on-hand", {"on_hand": 1}),
    ):
        assert api.stock("NO-SUCH", verb, act, **body).status_code == 404


def test_a_repeated_key_receives_once(api):
    sku, key = api.sku(), uuid.uuid4().hex
    first = api.stock(sku, "POST", "/receive", key=key, quantity=3)
    again = api.stock(sku, "POST", "/receive", key=key, quantity=3)
    assert first.json() == again.json() and again.headers["Idempotency-Replayed"] == "true"
    assert numbers(api.stock(sku)) == (3, 0, 3)
    other = api.stock(sku, "POST", "/receive", key=key, quantity=4)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    missing = api.post(f"/v1/admin/stock/{sku}/receive", json={"quantity": 1})
    assert missing.status_code == 400


def receive_many(api, items, **fields):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return api.post("/v1/admin/stock/receive", json={"items": items, **fields}, headers=headers)


def test_many_come_in_together_or_not_at_all(api):
    skus = sorted((api.sku() for _ in range(3)), reverse=True)
    items = [{"sku": sku, "quantity": at + 1} for at, sku in enumerate(skus)]
    answer = receive_many(api, items, note="Opening stock")
    assert (answer.status_code, answer.json()) == (200, {"received": 3})
    assert [api.stock(sku).json()["on_hand"] for sku in skus] == [1, 2, 3]
    assert entries(api, skus[0])[0]["note"] == "Opening stock"
    bad = [*items, {"sku": "NO-SUCH", "quantity": 1}, {"sku": "NOR-THIS", "quantity": 1}]
    answer = receive_many(api, bad)
    assert answer.status_code == 422
    assert sorted(each["pointer"] for each in answer.json()["errors"]) == [
        "/items/3/sku",
        "/items/4/sku",
    ]
    answer = receive_many(api, [items[0], items[1], items[0]])
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/items/2/sku"]
    assert [api.stock(sku).json()["on_hand"] for sku in skus] == [1, 2, 3]


def test_lists_page_and_low_shows_what_runs_out(api):
    low, none, enough, gone = api.sku(5), api.sku(), api.sku(6), api.sku(1)
    product = api.stock(gone).json()["product_id"]
    api.delete(f"/v1/admin/products/{product}", headers={"If-Match": '"1"'})
    wait_for(lambda: not api.stock(gone).json()["sellable"], what="it is not sold any more")

    def walk(query):
        found, path = [], f"/v1/admin/stock?limit=2{query}"
        while path:
            answer = api.get(path).json()
            found += [each["sku"] for each in answer["data"]]
            cursor = answer["page"]["next"]
            path = f"/v1/admin/stock?limit=2{query}&cursor={cursor}" if cursor else None
        return found

    everything, lows = walk(""), walk("&low=true")
    assert everything == sorted(everything) and len(everything) == len(set(everything))
    assert {low, none, enough, gone} <= set(everything)
    assert {low, none} <= set(lows) and not {enough, gone} & set(lows)
    first = api.get("/v1/admin/stock?limit=1")
    assert 'rel="next"' in first.headers["Link"]
    for _ in range(4):
        api.stock(low, "POST", "/receive", quantity=1)
    page = api.get(f"/v1/admin/stock/{low}/ledger?limit=3").json()
    rest = api.get(f"/v1/admin/stock/{low}/ledger?limit=3&cursor={page['page']['next']}").json()
    assert [each["delta"] for each in page["data"] + rest["data"]] == [1, 1, 1, 1, 5]
    assert rest["page"]["next"] is None
    assert api.get(f"/v1/admin/stock/{low}/ledger?cursor=x").status_code == 400


def test_the_books_balance(stack):
    """After everything above. Reserved was made up there, so it is left out here."""
    with stack.connect("orders") as db:
        assert db.execute("SELECT * FROM stock_imbalances WHERE what = 'on_hand'").fetchall() == []


# ---- availability ----


def availability(stack, cursor=None, limit=1000):
    request = {"limit": limit} | ({"cursor": cursor} if cursor else {})
    return json.loads(soukctl(stack, "call", "orders.availability", json.dumps(request)).stdout)


def whole(stack, cursor=None, limit=1000):
    """A pass to its end: ({sku: level}, cursor, whether it began from scratch)."""
    levels, restart = {}, None
    while True:
        page = availability(stack, cursor, limit)
        restart = page["restart"] if restart is None else restart
        levels |= {each["sku"]: each["level"] for each in page["levels"]}
        cursor = page["cursor"]
        if not page["more"]:
            return levels, cursor, restart


def test_availability_is_told_as_changes(api, stack):
    one, other = api.sku(1), api.sku(100)
    levels, cursor, restart = whole(stack, limit=2)
    assert restart and levels[one] == "low" and levels[other] == "in_stock"
    assert {each["sku"] for each in api.get("/v1/admin/stock?limit=100").json()["data"]} <= set(
        levels
    )
    api.stock(one, "POST", "/receive", quantity=5)
    api.stock(other, "POST", "/receive", quantity=5)

    def changed():
        found, after, again = whole(stack, cursor)
        return found.get(one) == "in_stock" and (found, after, again)

    levels, cursor, restart = wait_for(changed, what="the change is told")
    assert not restart and other not in levels, "within a level nothing is told"


def test_a_cursor_of_another_database_starts_anew(stack):
    _, cursor, _ = whole(stack)
    assert whole(stack, "0" * 32 + cursor[32:])[2]
    identity, horizon, _, sku = cursor.split(".", 3)
    assert whole(stack, f"{identity}.{horizon}.{10**18}.{sku}")[2]
    bad = soukctl(
        stack, "call", "orders.availability", json.dumps({"cursor": "made-up"}), check=False
    )
    assert bad.returncode == 1 and '"malformed"' in bad.stderr


# ---- soukctl import stock ----


def test_a_delivery_from_a_file_is_received_once(api, stack):
    skus = [api.sku() for _ in range(3)]
    lines = "".join(json.dumps({"sku": sku, "quantity": 2}) + "\n" for sku in skus)
    for _ in range(2):
        done = soukctl(stack, "import", "stock", "--reference", "Delivery 7", "-", stdin=lines)
        assert done.stdout == "3 received\n"
    assert [numbers(api.stock(sku))[0] for sku in skus] == [2, 2, 2]
    assert entries(api, skus[0])[0]["note"] == "Delivery 7"
    soukctl(stack, "import", "stock", "--reference", "Delivery 8", "-", stdin=lines)
    csv = "Name,SKU,Quantity\r\n" + "".join(f'"A, b",{sku},5\r\n' for sku in skus)
    soukctl(stack, "import", "stock", "--format", "csv", "-", stdin=csv)
    assert [numbers(api.stock(sku))[0] for sku in skus] == [9, 9, 9]
    dry = soukctl(stack, "import", "stock", "--dry-run", "-", stdin=lines)
    assert dry.stdout == "dry run: 3 received\n"
    assert [numbers(api.stock(sku))[0] for sku in skus] == [9, 9, 9]


def test_a_file_with_a_bad_line_can_be_mended_and_sent_again(api, stack):
    """Batches of 500: the first is in, the second is not, and the mended file adds only that."""
    known = api.sku()
    first = [{"sku": known, "quantity": 1}] + [
        {"sku": f"BULK-{at}", "quantity": 1} for at in range(499)
    ]
    with stack.connect("orders") as db:
        db.execute(
            "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable, revision)"
            " SELECT 'BULK-' || n, 'prod_bulk', 'v', 's', 'Bulk', 1, 'EUR', true, 1 FROM generate_series(0, 498) n"
        )
    second = api.sku()
    rest = [{"sku": second, "quantity": 3}, {"sku": "TYPO", "quantity": 4}]

    def send(items):
        text = "".join(json.dumps(each) + "\n" for each in items)
        return soukctl(stack, "import", "stock", "-", stdin=text, check=False)

    done = send(first + rest)
    assert (done.returncode, done.stdout) == (1, "500 received\n")
    assert "-:502: sku: there is no such SKU" in done.stderr
    assert (numbers(api.stock(known))[0], numbers(api.stock(second))[0]) == (1, 0)
    done = send(first + rest[:1])
    assert (done.returncode, done.stdout) == (0, "501 received\n")
    assert (numbers(api.stock(known))[0], numbers(api.stock(second))[0]) == (1, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"sku": "A", "quantity": 0}\n', "-:1: /quantity: must be at least 1"),
        ('{"sku": "A"}\n', "-:1: /quantity: is required"),
        ('{"sku": "A", "quantity": 1, "price": 2}\n', "-:1: /price: is not known"),
        ("{\n", "-:1: "),
    ],
)
def test_bad_lines_are_named_before_anything_is_sent(stack, text, said):
    done = soukctl(stack, "import", "stock", "-", stdin=text, check=False)
    assert (done.returncode, done.stdout) == (1, "0 received\n")
    assert said in done.stderr


def test_csv_needs_its_columns(stack):
    done = soukctl(
        stack, "import", "stock", "--format", "csv", "-", stdin="sku,count\nA,1\n", check=False
    )
    assert done.returncode == 1 and "sku and quantity" in done.stderr
    done = soukctl(
        stack, "import", "stock", "--format", "csv", "-", stdin="sku,quantity\nA,x\n", check=False
    )
    assert done.returncode == 1 and "-:2: quantity" in done.stderr
