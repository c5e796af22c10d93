"""orders_totals_compute against an exact computation with decimal, written from docs/pricing.md and not from the C."""

import json
import os
import random
import subprocess
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, setcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
BUILD = Path(os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / "dev"))
SEED = int(os.environ.get("SOUK_TEST_SEED", "20261125"))
LIMIT = 10**12
COUNTRIES = ["DE", "US", "MX", "NO", "CH", ""]
CATEGORIES = ["standard", "books", "food", "shipping", "luxury"]

# Wide enough that nothing is rounded but where the rules say so.
setcontext(Context(prec=120))


class Refused(Exception):
    """The error that the basket must get."""


def half_up(exact):
    """To a whole minor unit."""
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def rate_of(case, category):
    """The row for the country and category, or for its standard, or none."""
    rows = {row["category"]: row for row in case["taxes"] if row["country"] == case["country"]}
    return rows.get(category) or rows.get("standard")


def tax_of(case, category, amount):
    """(tax, rate, contained in the amount)."""
    row = rate_of(case, category)
    if row is None:
        return 0, 0, True
    if not 0 <= row["rate_ppm"] <= 10**6:
        raise Refused("amount_too_large")
    rate = Decimal(row["rate_ppm"]) / 10**6
    if row["inclusive"]:
        # The price before tax is amount / (1 + rate); one division, so that a half stays a half.
        return (
            half_up(Decimal(amount) * row["rate_ppm"] / (10**6 + row["rate_ppm"])),
            row["rate_ppm"],
            True,
        )
    return half_up(amount * rate), row["rate_ppm"], False


def discount_of(case, items):
    """The whole discount."""
    code = case["discount"]
    if code is None:
        return 0
    started = code["starts_at"] is None or code["starts_at"] <= case["now"]
    ended = code["ends_at"] is not None and code["ends_at"] <= case["now"]
    if not code["active"] or not started or ended:
        raise Refused("discount_not_active")
    if items < code["minimum"]:
        raise Refused("discount_minimum_not_met")
    if not 0 <= code["value"] <= (10**6 if code["kind"] == "percent" else LIMIT):
        raise Refused("amount_too_large")
    if code["kind"] == "fixed":
        return min(code["value"], items)
    return min(half_up(Decimal(items) * code["value"] / 10**6), items)


def shares_of(discount, subtotals):
    """Largest remainder, of equal ones the first."""
    items = sum(subtotals)
    if items == 0:
        return [0 for _ in subtotals]
    exact = [Decimal(discount) * subtotal / items for subtotal in subtotals]
    shares = [int(share.quantize(Decimal(1), ROUND_DOWN)) for share in exact]
    # Compared as whole numbers: a quotient with 120 digits could hide a difference, or make one.
    remainders = [discount * subtotal % items for subtotal in subtotals]
    first = sorted(range(len(shares)), key=lambda at: (-remainders[at], at))
    for at in first[: discount - sum(shares)]:
        shares[at] += 1
    return shares


def shipping_of(case, left):
    """The price of shipping when items cost so much after discount."""
    method = case["shipping"]
    if method is None:
        return None
    served = (
        not method["countries"] or not case["country"] or case["country"] in method["countries"]
    )
    if not method["active"] or not served:
        raise Refused("shipping_not_available")
    price = (
        0 if method["free_from"] is not None and left >= method["free_from"] else method["price"]
    )
    if not 0 <= price <= LIMIT:
        raise Refused("amount_too_large")
    return price


def expected(case):
    """What totals_print should print."""
    lines = case["lines"]
    none = {
        "items": 0,
        "discount": 0,
        "shipping": 0,
        "tax": 0,
        "tax_added": 0,
        "grand": 0,
        "taxes_included": True,
    }
    none |= {"shipping_tax": 0, "shipping_tax_rate_ppm": 0, "lines": []}
    if not lines:
        return none
    for line in lines:
        if not (1 <= line["quantity"] <= 999 and 0 <= line["unit_price"] <= LIMIT):
            raise Refused("amount_too_large")
    subtotals = [line["quantity"] * line["unit_price"] for line in lines]
    items = sum(subtotals)
    if len(lines) > 100 or items > LIMIT:
        raise Refused("amount_too_large")
    discount = discount_of(case, items)
    shares = shares_of(discount, subtotals)
    rows, taxes = [], []
    for line, subtotal, share in zip(lines, subtotals, shares, strict=True):
        tax, rate, contained = tax_of(case, line["tax_category"], subtotal - share)
        rows.append(
            [subtotal, share, tax, subtotal - share + (0 if contained else tax), rate, contained]
        )
        taxes.append((tax, contained))
    shipping = shipping_of(case, items - discount)
    shipping_tax, shipping_rate, contained = 0, 0, True
    if shipping is not None:
        shipping_tax, shipping_rate, contained = tax_of(case, "shipping", shipping)
        taxes.append((shipping_tax, contained))
    added = sum(tax for tax, contained in taxes if not contained)
    tax = sum(tax for tax, _ in taxes)
    grand = sum(row[3] for row in rows) + (shipping or 0) + (0 if contained else shipping_tax)
    assert grand == items - discount + (shipping or 0) + added
    if grand > LIMIT or tax > LIMIT:
        raise Refused("amount_too_large")
    return {
        "items": items,
        "discount": discount,
        "shipping": shipping or 0,
        "tax": tax,
        "tax_added": added,
        "grand": grand,
        "taxes_included": all(contained for _, contained in taxes),
        "shipping_tax": shipping_tax,
        "shipping_tax_rate_ppm": shipping_rate,
        "lines": rows,
    }


def amount(dice):
    """Small ones, round ones, huge ones and the ends."""
    return dice.choice(
        [
            dice.randint(0, 20),
            dice.randint(1, 100) * 100,
            dice.randint(0, 10**5),
            dice.randint(0, 10**9),
            dice.choice([0, 1, 99, 999, LIMIT // 999, LIMIT // 100, LIMIT - 1, LIMIT]),
        ]
    )


def taxes(dice):
    """Rates of some countries and categories, in any order."""
    pairs = [(country, category) for country in COUNTRIES[:-1] for category in CATEGORIES]
    return [
        {
            "country": country,
            "category": category,
            "rate_ppm": dice.choice(
                [0, 1, 25000, 70000, 77500, 82500, 190000, 250000, dice.randint(0, 10**6), 10**6]
            ),
            "inclusive": dice.random() < 0.6,
        }
        for country, category in dice.sample(pairs, dice.randint(0, len(pairs)))
    ]


def discount(dice, now):
    """A code that mostly applies."""
    percent = dice.random() < 0.5
    return {
        "kind": "percent" if percent else "fixed",
        "value": dice.choice([0, 1, 100000, 333333, 999999, 10**6, dice.randint(0, 10**6)])
        if percent
        else amount(dice),
        "minimum": dice.choice([0, 0, 0, 1, dice.randint(0, 10**6)]),
        "starts_at": dice.choice([None, None, now, now - 1, now + 1, 0]),
        "ends_at": dice.choice([None, None, now + 1, now + 10**9, now]),
        "active": dice.random() < 0.95,
    }


def shipping(dice):
    """A method that mostly serves the country."""
    return {
        "price": amount(dice) if dice.random() < 0.3 else dice.randint(0, 5000),
        "free_from": dice.choice([None, 0, amount(dice), dice.randint(0, 10**5)]),
        "countries": dice.choice([[], [], COUNTRIES[:-1], dice.sample(COUNTRIES[:-1], 2)]),
        "active": dice.random() < 0.97,
    }


def basket(dice):
    """One case; one in fifty has something that no check in front would let through."""
    now = dice.randint(0, 2 * 10**15)
    count = dice.choice([0, 1, 1, 2, 3, 3, 7, 20, 100])
    alike = amount(dice) if dice.random() < 0.2 else None  # ties of remainders
    small = dice.random() < 0.7
    lines = [
        {
            "quantity": dice.choice([1, 1, 2, 3, dice.randint(1, 999), 999])
            if alike is None
            else 1,
            "unit_price": (dice.randint(0, 10**5) if small else amount(dice))
            if alike is None
            else alike,
            "tax_category": dice.choice([*CATEGORIES, "unheard-of"]),
        }
        for _ in range(count)
    ]
    case = {
        "now": now,
        "country": dice.choice(COUNTRIES),
        "taxes": taxes(dice),
        "shipping": shipping(dice) if dice.random() < 0.8 else None,
        "discount": discount(dice, now) if dice.random() < 0.6 else None,
        "lines": lines,
    }
    if lines and dice.random() < 0.02:
        dice.choice(lines)[dice.choice(["quantity", "unit_price"])] = dice.choice(
            [-1, 1000, LIMIT + 1, 2**63 - 1]
        )
    if case["taxes"] and dice.random() < 0.02:
        dice.choice(case["taxes"])["rate_ppm"] = dice.choice([-1, 10**6 + 1, 2**62])
    return case


def outcome(case):
    """The oracle's answer in the program's form."""
    try:
        return expected(case)
    except Refused as refused:
        return {"error": str(refused)}


def compare(cases):
    """Each case's totals are the oracle's; the answers."""
    program = BUILD / "tests" / "totals_print"
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    run = subprocess.run(
        [program], input=lines, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(cases)
    for case, answer in zip(cases, answers, strict=True):
        assert answer == outcome(case), json.dumps(case)
    return answers


def test_random_baskets_cost_what_decimal_says():
    dice = random.Random(SEED)
    answers = compare([basket(dice) for _ in range(6000)])
    errors = {answer["error"] for answer in answers if "error" in answer}
    assert errors == {
        "amount_too_large",
        "discount_minimum_not_met",
        "discount_not_active",
        "shipping_not_available",
    }
    priced = [answer for answer in answers if "error" not in answer]
    assert len(priced) > 2500, "most baskets are sound"
    mixed = [answer for answer in priced if 0 < answer["tax_added"] < answer["tax"]]
    assert len(mixed) > 150, "inclusive and exclusive rates meet"
    assert sum(answer["discount"] > 0 for answer in priced) > 450


def test_parts_add_up_whatever_the_rates():
    dice = random.Random(SEED + 1)
    for answer in compare([basket(dice) for _ in range(2000)]):
        if "error" in answer:
            continue
        assert sum(line[0] for line in answer["lines"]) == answer["items"]
        assert sum(line[1] for line in answer["lines"]) == answer["discount"] <= answer["items"]
        assert sum(line[2] for line in answer["lines"]) + answer["shipping_tax"] == answer["tax"]
        for subtotal, share, tax, total, _, contained in answer["lines"]:
            assert 0 <= share <= subtotal
            assert 0 <= tax <= total
            assert total == subtotal - share + (0 if contained else tax)


def test_extremes():
    standard = {"country": "US", "category": "standard", "inclusive": False, "rate_ppm": 10**6}
    base = {"now": 0, "country": "US", "taxes": [standard], "shipping": None, "discount": None}
    full = [{"quantity": 1, "unit_price": LIMIT // 100, "tax_category": "standard"}] * 100
    half = [{"quantity": 1, "unit_price": LIMIT // 200, "tax_category": "standard"}] * 100
    third = {
        "kind": "percent",
        "value": 333333,
        "minimum": LIMIT,
        "starts_at": None,
        "ends_at": None,
        "active": True,
    }
    cases = [
        {**base, "lines": full},
        {**base, "lines": half},
        {**base, "lines": full, "taxes": []},
        {**base, "lines": full, "taxes": [], "discount": third},
        {**base, "lines": full, "taxes": [{**standard, "inclusive": True}], "discount": third},
        {
            **base,
            "lines": [{"quantity": 999, "unit_price": LIMIT // 999, "tax_category": "x"}],
            "taxes": [],
        },
        {
            **base,
            "lines": [{"quantity": 999, "unit_price": LIMIT, "tax_category": "x"}] * 100,
            "taxes": [],
        },
        {**base, "lines": [*full, full[0]], "taxes": []},
    ]
    answers = compare(cases)
    assert answers[1]["grand"] == LIMIT
    assert [at for at, answer in enumerate(answers) if "error" in answer] == [0, 6, 7]
