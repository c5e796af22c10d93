"""What staff set from the outside: shipping methods, tax rates, discount codes; guards, refusals, and the log of it."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import Api, euro, refused
from support.buyers import Buyer, Shelf
from support.stack import Stack

DOLLAR = {"amount": 100, "currency": "USD"}


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, orders=2, users=1) as started:
        yield started


@pytest.fixture(scope="module")
def staff(stack):
    return Staff(stack)


@pytest.fixture(scope="module")
def shelf(stack):
    return Shelf(stack)


class Staff(Api):
    """With the key that has all rights."""

    def write(self, verb, path, version=None, key=None, **body):
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        if key:
            headers["Idempotency-Key"] = key
        content = {"json": body} if body or verb != "DELETE" else {}
        return self.request(verb, f"/v1/admin/{path}", headers=headers, **content)

    def made(self, path, **body):
        answer = self.write("POST", path, **body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def read(self, path):
        return self.get(f"/v1/admin/{path}")


def name(prefix="it"):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def method(**fields):
    return {"id": name(), "name": "Parcel", "price": euro(495), **fields}


def rate(**fields):
    return {
        "country": "FR",
        "category": name(),
        "rate_ppm": 200000,
        "inclusive": True,
        "name": "TVA",
        **fields,
    }


def percent(**fields):
    return {"code": name("OFF").upper(), "kind": "percent", "percent_ppm": 100000, **fields}


# Each kind of thing: where, how one is made, where it is then, and a change.
KINDS = {
    "shipping": ("shipping-methods", method, lambda it: it["id"], {"name": "Other"}),
    "tax": ("tax-rates", rate, lambda it: f"{it['country']}/{it['category']}", {"name": "Other"}),
    "discounts": ("discount-codes", percent, lambda it: it["code"], {"active": False}),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


# ---- what holds for all three ----


def test_made_read_changed_and_deleted(stack, staff, shelf, kind):
    folder, new, where, change = KINDS[kind]
    answer = staff.write("POST", folder, **new())
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"'), answer.text
    made = answer.json()
    place = f"{folder}/{where(made)}"
    assert answer.headers["Location"] == f"/v1/admin/{place}"
    assert staff.read(place).json() == made
    assert (
        made in staff.read(f"{folder}?limit=100" if kind != "shipping" else folder).json()["data"]
    )
    refused(staff.write("PATCH", place, **change), 428, "precondition_required")
    refused(staff.write("DELETE", place), 428, "precondition_required")
    refused(staff.write("PATCH", place, version=2, **change), 412, "precondition_failed")
    refused(staff.write("DELETE", place, version=2), 412, "precondition_failed")
    changed = staff.write("PATCH", place, version=1, **change)
    assert changed.status_code == 200, changed.text
    assert changed.headers["ETag"] == '"2"'
    assert changed.json() == {
        **made,
        **change,
        "version": 2,
        "updated_at": changed.json()["updated_at"],
    }
    assert staff.read(place).json() == changed.json()
    refused(staff.write("PATCH", place, version=1, **change), 412, "precondition_failed")
    assert staff.write("DELETE", place, version=2).status_code == 204
    for gone in (
        staff.read(place),
        staff.write("PATCH", place, version=2, **change),
        staff.write("DELETE", place, version=2),
    ):
        refused(gone, 404, "not_found")
    rows = shelf.sql(
        "SELECT action, actor, before, after, request_id FROM audit WHERE target = %s ORDER BY id",
        where(made),
    )
    assert [row[0] for row in rows] == [f"{kind}.create", f"{kind}.update", f"{kind}.delete"]
    assert rows[0][2] is None and rows[2][3] is None
    assert rows[0][3] == rows[1][2] and rows[1][3] == rows[2][2]
    assert all(row[1] and row[4] for row in rows)
    entries = staff.read(f"audit/orders?target={where(made)}").json()["data"]
    assert [
        (each["action"], each["actor"], each["before"], each["after"], each["request_id"])
        for each in reversed(entries)
    ] == rows


def test_a_name_is_taken_once(staff, kind):
    folder, new, where, _ = KINDS[kind]
    body = new()
    staff.made(folder, **body)
    refused(staff.write("POST", folder, **body), 409, "already_exists")
    again = new()
    key = uuid.uuid4().hex
    first = staff.write("POST", folder, key=key, **again)
    repeat = staff.write("POST", folder, key=key, **again)
    assert (first.status_code, repeat.status_code) == (201, 201)
    assert repeat.headers["Idempotency-Replayed"] == "true"
    refused(staff.write("POST", folder, key=key, **new()), 422, "key_reused")


def test_of_changes_at_once_one_wins(stack, staff, kind):
    folder, new, where, change = KINDS[kind]
    made = staff.made(folder, **new())
    place = f"{folder}/{where(made)}"

    def patch(_):
        return Staff(stack).write("PATCH", place, version=1, **change).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(patch, range(6))) == [200] + [412] * 5
    assert staff.read(place).json()["version"] == 2


def test_only_staff(stack, staff, kind):
    folder, new, where, change = KINDS[kind]
    made = staff.made(folder, **new())
    place = f"/v1/admin/{folder}/{where(made)}"
    for buyer in (Buyer.guest(stack), Buyer.user(stack)):
        for verb, path, body in (
            ("GET", f"/v1/admin/{folder}", None),
            ("POST", f"/v1/admin/{folder}", new()),
            ("GET", place, None),
            ("PATCH", place, change),
            ("DELETE", place, None),
        ):
            headers = {"If-Match": '"1"', "Authorization": f"Bearer {buyer.token}"}
            answer = buyer.request(verb, path, admin=False, json=body, headers=headers)
            refused(answer, 403, "forbidden")
            assert buyer.request(
                verb, path, admin=False, json=body, headers={"Authorization": ""}
            ).status_code in (400, 401)


BAD = {
    "shipping": [
        (method(price=DOLLAR), "/price"),
        (method(price={"amount": -1, "currency": "EUR"}), "/price/amount"),
        (method(price={"amount": 10**12 + 1, "currency": "EUR"}), "/price/amount"),
        (method(price=4.95), "/price"),
        (method(price={"amount": 4.95, "currency": "EUR"}), "/price/amount"),
        (method(free_above=DOLLAR), "/free_above"),
        (method(id="No Slug"), "/id"),
        (method(id=""), "/id"),
        (method(name=""), "/name"),
        (method(name="  "), "/name"),
        (method(name="x" * 201), "/name"),
        (method(countries=["DE", "XX"]), "/countries/1"),
        (method(countries=["de"]), "/countries/0"),
        (method(countries=["DE", "DE"]), "/countries/1"),
        (method(position=-1), "/position"),
        (method(colour="red"), "/colour"),
    ],
    "tax": [
        (rate(rate_ppm=-1), "/rate_ppm"),
        (rate(rate_ppm=1000001), "/rate_ppm"),
        (rate(rate_ppm=19.0), "/rate_ppm"),
        (rate(country="ZZ"), "/country"),
        (rate(country="fr"), "/country"),
        (rate(country="FRA"), "/country"),
        (rate(category="Two Words"), "/category"),
        (rate(inclusive="yes"), "/inclusive"),
        ({k: v for k, v in rate().items() if k != "inclusive"}, "/inclusive"),
    ],
    "discounts": [
        (percent(percent_ppm=0), "/percent_ppm"),
        (percent(percent_ppm=1000001), "/percent_ppm"),
        (percent(amount=euro(1)), "/amount"),
        ({"code": name(), "kind": "percent"}, "/percent_ppm"),
        ({"code": name(), "kind": "fixed"}, "/amount"),
        ({"code": name(), "kind": "fixed", "percent_ppm": 1}, "/percent_ppm"),
        ({"code": name(), "kind": "fixed", "amount": euro(0)}, "/amount"),
        ({"code": name(), "kind": "fixed", "amount": DOLLAR}, "/amount"),
        (percent(kind="gift"), "/kind"),
        (percent(code="A B"), "/code"),
        (percent(code="A/B"), "/code"),
        (percent(code="x" * 65), "/code"),
        (percent(minimum=DOLLAR), "/minimum"),
        (percent(limit_total=0), "/limit_total"),
        (percent(limit_per_customer=0), "/limit_per_customer"),
        (percent(starts_at="2026-12-24T00:00:00Z", ends_at="2026-12-24T00:00:00Z"), "/ends_at"),
        (percent(starts_at="yesterday"), "/starts_at"),
        (percent(used=3), "/used"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "body", "pointer"), [(kind, *row) for kind, rows in BAD.items() for row in rows]
)
def test_a_bad_field_is_named(staff, kind, body, pointer):
    said = refused(staff.write("POST", KINDS[kind][0], **body), 422, "validation")
    assert [error["pointer"] for error in said["errors"]] == [pointer]


# ---- shipping ----


def test_a_shipping_method_is_changed_field_by_field(staff):
    made = staff.made(
        "shipping-methods",
        **method(name="  Zustellung – über Nacht ", free_above=euro(5000), countries=["DE", "AT"]),
    )
    assert made["name"] == "Zustellung – über Nacht"
    assert (made["active"], made["position"], made["countries"]) == (True, 0, ["DE", "AT"])
    place = f"shipping-methods/{made['id']}"
    changes = [
        ({"price": euro(0)}, "price", euro(0)),
        ({"free_above": None}, "free_above", None),
        ({"countries": []}, "countries", []),
        ({"active": False}, "active", False),
        ({"position": 7}, "position", 7),
    ]
    now = made
    for change, field, value in changes:
        now = staff.write("PATCH", place, version=now["version"], **change).json()
        assert now[field] == value
    refused(staff.write("PATCH", place, version=now["version"], price=DOLLAR), 422, "validation")
    refused(staff.write("PATCH", place, version=now["version"]), 422, "validation")
    refused(staff.write("PATCH", place, version=now["version"], id="other"), 422, "validation")


def test_at_most_two_hundred_shipping_methods(stack, staff, shelf):
    there = len(staff.read("shipping-methods").json()["data"])
    shelf.sql(
        "INSERT INTO shipping_methods (id, name, price) SELECT 'many-' || i, 'Many', 1 FROM generate_series(1, %s) i",
        195 - there,
    )

    def create(_):
        return Staff(stack).write("POST", "shipping-methods", **method()).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(12)))
    assert answers == [201] * 5 + [409] * 7
    refused(staff.write("POST", "shipping-methods", **method()), 409, "too_many")
    shelf.sql("DELETE FROM shipping_methods WHERE id LIKE 'many-%%' OR name = 'Parcel'")


# ---- taxes ----


def test_tax_rates_page_by_page(staff):
    staff.made("tax-rates", **rate(country="AD", category="standard"))
    made = [staff.made("tax-rates", **rate(country="ES")) for _ in range(5)]
    wanted = sorted(row["category"] for row in made)
    found, path = [], "tax-rates?country=ES&limit=2"
    pages = 0
    while path:
        answer = staff.read(path)
        page = answer.json()
        found += [row["category"] for row in page["data"]]
        following = page["page"]["next"]
        assert (following is None) == ("Link" not in answer.headers)
        path = following and f"tax-rates?country=ES&limit=2&cursor={following}"
        pages += 1
    assert (found, pages) == (wanted, 3)
    first = staff.read("tax-rates?limit=1").json()
    assert first["data"][0]["country"] == "AD"
    refused(staff.read("tax-rates?cursor=nonsense"), 400, "malformed")


def test_a_cart_follows_what_staff_set(stack, staff, shelf):
    """Whichever worker answers: the next reading has it."""
    sku = shelf.put(price=10000)
    guest = Buyer.guest(stack)
    guest.open((sku, 1))
    row = staff.made("tax-rates", **rate(country="PT", category="standard", rate_ppm=230000))
    way = staff.made("shipping-methods", **method(countries=["PT"]))
    address = {"name": "Inês", "line1": "Rua 1", "city": "Porto", "country": "PT"}
    guest.change("PATCH", shipping_address=address, shipping_method=way["id"])
    assert guest.cart["tax_total"] == euro(1870 + 93)
    for number in range(1, 8):
        ppm = 100000 + number * 10000
        answer = staff.write(
            "PATCH", "tax-rates/PT/standard", version=row["version"], rate_ppm=ppm, inclusive=False
        )
        row = answer.json()
        for _ in range(3):
            assert guest.look()["items"][0]["tax"] == euro(10000 * ppm // 10**6)
    staff.write("DELETE", f"shipping-methods/{way['id']}", version=1)
    assert [problem["code"] for problem in guest.look()["problems"]] == ["shipping_not_available"]
    assert guest.cart["shipping_total"] == euro(0)


# ---- discount codes ----


def test_codes_are_kept_in_capitals(staff):
    code = name("mixed")
    made = staff.made("discount-codes", **percent(code=code))
    assert made["code"] == code.upper()
    assert staff.read(f"discount-codes/{code}").json() == made
    refused(
        staff.write("POST", "discount-codes", **percent(code=code.upper())), 409, "already_exists"
    )


def test_a_code_with_all_there_is(staff):
    wanted = {
        "code": name("ALL").upper(),
        "kind": "fixed",
        "amount": euro(500),
        "minimum": euro(3000),
        "starts_at": "2026-11-24T00:00:00Z",
        "ends_at": "2027-01-01T00:00:00Z",
        "limit_total": 50,
        "limit_per_customer": 1,
    }
    made = staff.made("discount-codes", **wanted)
    assert {field: made[field] for field in wanted} == wanted
    assert (made["used"], made["active"], made["percent_ppm"]) == (0, True, None)
    place = f"discount-codes/{made['code']}"
    cleared = {
        field: None
        for field in ("minimum", "starts_at", "ends_at", "limit_total", "limit_per_customer")
    }
    now = staff.write("PATCH", place, version=1, amount=euro(1), **cleared).json()
    assert {field: now[field] for field in cleared} == cleared
    assert now["amount"] == euro(1)
    refused(staff.write("PATCH", place, version=2, percent_ppm=1), 422, "validation")
    refused(staff.write("PATCH", place, version=2, kind="percent"), 422, "validation")
    refused(staff.write("PATCH", place, version=2, used=0), 422, "validation")


def test_a_used_code_stays(staff, shelf):
    code = staff.made("discount-codes", **percent(limit_total=10))["code"]
    place = f"discount-codes/{code}"
    for number in range(3):
        shelf.sql(
            "INSERT INTO discount_uses (code, order_id, customer) VALUES (%s, %s, 'a@example.com')",
            code,
            f"ord_{number}",
        )
    shelf.sql("UPDATE discount_codes SET used = 3 WHERE code = %s", code)
    assert staff.read(place).json()["used"] == 3
    refused(staff.write("DELETE", place, version=1), 409, "discount_in_use")
    said = refused(staff.write("PATCH", place, version=1, limit_total=2), 422, "validation")
    assert said["errors"][0]["pointer"] == "/limit_total"
    now = staff.write("PATCH", place, version=1, limit_total=3, active=False).json()
    assert (now["limit_total"], now["active"], now["used"], now["version"]) == (3, False, 3, 2)
    shelf.sql("DELETE FROM discount_uses WHERE code = %s", code)
    shelf.sql("UPDATE discount_codes SET used = 0 WHERE code = %s", code)
    assert staff.write("DELETE", place, version=2).status_code == 204


def test_discount_codes_page_by_page(staff):
    made = {staff.made("discount-codes", **percent())["code"] for _ in range(5)}
    found, path = [], "discount-codes?limit=2"
    while path:
        page = staff.read(path).json()
        found += [row["code"] for row in page["data"]]
        following = page["page"]["next"]
        path = following and f"discount-codes?limit=2&cursor={following}"
    assert found == sorted(found)
    assert made <= set(found)


def test_the_log_comes_in_pages(staff, shelf):
    """Acts that say much end a page early; nothing is left out and nothing comes twice."""
    skus = [f"LOG-{'X' * 50}-{n:03}" for n in range(500)]
    shelf.sql(
        "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, option_values, price, currency, sellable, revision, updated_at)"
        " SELECT sku, 'prod_log', sku, 'log', 'Log', '{}', 100, 'EUR', true, 1, now() FROM unnest(%s::text[]) AS s (sku)",
        skus,
    )
    items = [{"sku": sku, "quantity": 1} for sku in skus]
    for _ in range(6):
        answer = staff.write("POST", "stock/receive", key=uuid.uuid4().hex, items=items)
        assert answer.status_code == 200, answer.text
    staff.made("shipping-methods", **method())
    wanted = shelf.sql("SELECT id FROM audit ORDER BY id DESC")
    for limit in (3, 100):
        found, sizes, cursor = [], [], ""
        while cursor is not None:
            answer = staff.read(f"audit/orders?limit={limit}{cursor}")
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert page["page"]["limit"] == limit
            sizes.append(len(page["data"]))
            found += [each["id"] for each in page["data"]]
            cursor = page["page"]["next"] and f"&cursor={page['page']['next']}"
        assert [(each,) for each in found] == wanted
        assert 0 < sizes[0] <= 7 and max(sizes) <= limit
    many = staff.read("audit/orders?target=500%20SKUs&limit=1").json()["data"]
    assert [len(each["after"]) for each in many] == [500]
    assert staff.read("audit/orders?actor=nobody").json()["data"] == []
    refused(staff.read("audit/orders?cursor=1"), 400, "malformed")
