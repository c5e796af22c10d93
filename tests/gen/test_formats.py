"""The formats as patterns: what they take and what they refuse."""

import re

import pytest
from gen.meta_service import PATTERNS

ETAGS = ['""', "a", 'W/"a"', '"a"b"', '"a", "b"', "**"]
CASES = {
    "slug": (["a", "a-b", "9-lives"], ["", "-a", "a-", "a--b", "A", "a_b"]),
    "sku": (["WSB-L", "a.b_c"], ["", "a b", "a/b"]),
    "currency": (["EUR"], ["eur", "EU", "EURO"]),
    "token": (["b64~"], ["", "a b", "\u00e9"]),
    "etag": (['"3"', "*"], ETAGS),
    "url": (
        ["/", "/media/a%20b.svg?x=1#y", "https://a.example/x", "http://[::1]:80"],
        ["", "//a", "ftp://a", "https://", "/a b", "/%zz"],
    ),
    "email": (["a.b+c@example.org"], ["a", "a@b", "@example.org", "a@-b.org", "a b@example.org"]),
    "line": (["", "a b \u00e9"], ["a\nb", "a\tb", "\x7f", "\x85", "\u2028"]),
    "text": (["a\nb\tc", "\u2028"], ["\r", "\x00", "\x9f"]),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_format(name):
    good, bad = CASES[name]
    assert [each for each in good if not re.fullmatch(PATTERNS[name], each)] == []
    assert [each for each in bad if re.fullmatch(PATTERNS[name], each)] == []
