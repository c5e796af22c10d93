"""The encodings of the golden vectors, against an encoder that others wrote."""

import base64
import datetime
import json

import msgpack
import pytest
from gen import examples, meta, vectors
from gen.model import Field
from sound import ROOT


def of_kind(kind, **more):
    keys = dict.fromkeys(Field.__dataclass_fields__)
    return Field(
        **{**keys, "name": "f", "kind": kind, "values": [], "bit": 0, "source": "body", **more}
    )


def oracle(value):
    return msgpack.packb(value, datetime=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        1,
        127,
        128,
        255,
        256,
        65535,
        65536,
        2**32 - 1,
        2**32,
        2**63 - 1,
        -1,
        -32,
        -33,
        -128,
        -129,
        -32768,
        -32769,
        -(2**31),
        -(2**31) - 1,
        -(2**63),
        1.5,
        "",
        "a" * 31,
        "a" * 32,
        "a" * 255,
        "a" * 256,
        "a" * 65536,
        "\u00e9\u20ac\U0001f600",
        [],
        [1] * 15,
        [1] * 16,
        [[]] * 65536,
        {},
        {str(at): at for at in range(15)},
        {str(at): at for at in range(16)},
    ],
)
def test_untyped_values(value):
    assert examples.mp_value(value) == oracle(value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T10:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-11-24T10:00:00.123456Z",
        "1969-12-31T23:59:59.5Z",
        "2600-01-01T00:00:00Z",
    ],
)
def test_times(text):
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert examples.mp_field(of_kind("time"), text) == oracle(when)


def test_bytes_and_floats():
    assert examples.mp_field(of_kind("bytes"), "aGk") == oracle(b"hi")
    assert examples.mp_field(of_kind("float"), 2) == oracle(2.0)


def test_fields_stand_in_the_order_of_their_declaration(folder):
    create = meta.read(folder).services[0].methods[1].request
    value = dict(reversed(list(examples.of_type(create).items())))
    assert list(msgpack.unpackb(examples.mp_type(create, value))) == [
        each.name for each in create.fields
    ]


def plain(one, value):
    """What JSON says of a value that msgpack holds."""
    if isinstance(value, dict):
        return {key: plain(None, each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(None, each) for each in value]
    if isinstance(value, msgpack.Timestamp):
        return value.to_datetime().strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    return value


def test_every_vector_of_the_project_is_what_others_decode():
    for one in meta.read(ROOT / "schemas").methods():
        for each in (one.request, one.reply):
            value = examples.of_type(each)
            found = plain(None, msgpack.unpackb(examples.mp_type(each, value)))
            for field in each.of_source("header"):
                value[field.name] = value[field.name].strip('"')
            assert found == value


def test_refused_bodies_are_json_and_differ(folder):
    for one in meta.read(folder).services[0].methods[1:]:
        rows = list(vectors._refused(one.request))
        good = examples.compact(examples.of_type(one.request, "body"))
        assert len({what for what, *_ in rows}) == len(rows) > 3
        for _, text, pointer, _ in rows:
            assert text != good and pointer.startswith("/")
            json.loads(text)


def test_seeds_are_there_for_every_method(folder):
    names = vectors.seeds(meta.read(folder))
    assert {
        "seeds/json/shop.create.json",
        "seeds/mp/shop.create.req.mp",
        "seeds/mp/stock.count.rep.mp",
    } <= set(names)
    assert "seeds/json/shop.get.json" not in names
