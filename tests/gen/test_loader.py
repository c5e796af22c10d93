"""The strict YAML reader."""

import pytest
from gen.loader import Problem, load


def read(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("-2.5e3", -2500.0),
        ("true", True),
        ("null", None),
        ("text of words", "text of words"),
        ("-price", "-price"),
        ("/v1/things", "/v1/things"),
        ('"NO"', "NO"),
        ("'12:30'", "12:30"),
        ('"007"', "007"),
        ('""', ""),
        ("1.2.3", "1.2.3"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_value(tmp_path, text, value):
    found = read(tmp_path, f"key: {text}\n")["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "NO",
        "no",
        "Yes",
        "y",
        "on",
        "OFF",
        "True",
        "NULL",
        "~",
        "12:30",
        "1:02:03",
        "007",
        "+1",
        "1_000",
        "0x1F",
        "0o7",
        "1e3",
        "1.",
        ".5",
        ".inf",
        "-.INF",
        ".nan",
        "2026-11-24",
        "<<",
    ],
)
def test_trap_is_refused(tmp_path, text):
    with pytest.raises(Problem, match=r"a\.yaml:2: .*quote it"):
        read(tmp_path, f"first: 1\nkey: {text}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            r"a\.yaml:3: the key a stands twice; remove one \(the first is on line 1\)",
        ),
        ("x: {a: 1, a: 2}\n", r"a\.yaml:1: the key a stands twice"),
        ("a:\n", r"a\.yaml:[12]: a value is missing"),
        ("a: &x 1\n", "anchors and aliases are not allowed"),
        ("a: 1\nb: *x\n", "anchors and aliases are not allowed|not YAML"),
        ("a: !!str 1\n", "the tag .* is not allowed"),
        ("1: a\n", "a key has to be text"),
        ("on: a\n", "on means different things"),
        ("", "the file is empty"),
        ("- a\n", "the file has to hold a mapping"),
        ("a: 1\n---\nb: 2\n", "a second document begins"),
        ("a: [1, 2\n", r"a\.yaml:[0-9]+: not YAML"),
        ("a: b: c\n", r"a\.yaml:1: not YAML"),
    ],
)
def test_refused(tmp_path, text, said):
    with pytest.raises(Problem, match=said):
        read(tmp_path, text)


def test_not_utf8(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(Problem, match="cannot be read"):
        load(tmp_path / "a.yaml")


def test_lines_are_known(tmp_path):
    root = read(tmp_path, "a: 1\nb:\n  - x\n  - k: {z: 1,\n        w: 2}\n")
    assert root.lines == {"a": 1, "b": 2}
    assert root["b"].lines == [3, 4]
    assert root["b"][1]["k"].lines == {"z": 4, "w": 5}
