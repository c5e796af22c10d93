"""Each rule of the meta-schema: one schema that breaks it, and what is said of it."""

import json
import re

import pytest
from gen import emit_openapi, meta
from gen.loader import Problem
from sound import FILES, ROOT

# file, what stands there, what is put in its place, what is said
CASES = [
    # shape
    (
        "errors.yaml",
        "title: Not found",
        "titel: Not found",
        "unknown key titel; did you mean title?",
    ),
    (
        "errors.yaml",
        "title: Not found",
        "zzz: 1",
        "error not_found has the unknown key zzz; known are",
    ),
    ("errors.yaml", ", title: Not found", "", "error not_found has no title"),
    (
        "errors.yaml",
        "title: Not found",
        "title: 404",
        "title of error not_found is 404; make it text",
    ),
    ("errors.yaml", "title: Not found", 'title: " "', "title of error not_found is empty"),
    ("errors.yaml", "number: 6", "number: true", "make it a whole number"),
    ("errors.yaml", "status: 404", "status: 200", "it has to be at least 400"),
    ("errors.yaml", "status: 404", "status: 600", "it has to be at most 599"),
    ("errors.yaml", "code: not_found", "code: Not-Found", "it has to match"),
    (
        "errors.yaml",
        "  - {code: not_found, number: 6, status: 404, title: Not found}",
        "  - not_found",
        "is no row",
    ),
    # parts
    ("stock.shelf.yaml", "part_of: stock", "part_of: shop", "is part of shop"),
    ("stock.shelf.yaml", "part_of", "service", "has the unknown key service"),
    ("stock.shelf.yaml", "  look:", "  count:", "count stands in another file of the service too"),
    ("stock.shelf.yaml", "type: int", "type: itn", "stock.shelf.yaml:6"),
    ("stock.shelf.yaml", "class: read", "class: raed", "stock.shelf.yaml:10"),
    # errors
    (
        "errors.yaml",
        "code: not_found",
        "code: validation",
        "the error code validation stands twice",
    ),
    ("errors.yaml", "number: 6", "number: 2", "the error number 2 stands twice"),
    (
        "errors.yaml",
        "number: 6,",
        "number: 6, constraints: [things_name_key, things_name_key],",
        "holds a value twice",
    ),
    (
        "errors.yaml",
        "number: 6,",
        "number: 6, constraints: [taken_key],",
        "the constraint taken_key stands twice",
    ),
    ("errors.yaml", "number: 6,", 'number: 6, constraints: ["a-b"],', "it has to match"),
    ("errors.yaml", "code: internal", "code: intern", "the error internal is missing"),
    # config
    ("config.yaml", "[gateway]", "[gate]", "take one of gateway, broker"),
    ("config.yaml", "[gateway]", "[gateway, gateway]", "holds a value twice"),
    ("config.yaml", "[gateway]", "[all, gateway]", "is of all and of others; keep [all]"),
    ("config.yaml", "env: SOUK_PORT", "env: PORT", "does not begin with SOUK_"),
    ("config.yaml", "env: SOUK_PORT", "env: SOUK_FAST", "the setting SOUK_FAST stands twice"),
    ("config.yaml", "flag: port", "flag: level", "the member gateway.level stands twice"),
    ("config.yaml", "env: SOUK_URI", "env: SOUK_URI, flag: uri", "is a secret with a flag"),
    ("config.yaml", "default: 8080", "default: 70000", "is not within 0..65535"),
    ("config.yaml", "default: 8080", 'default: "8080"', "make it a whole number"),
    ("config.yaml", "default: 8080", "default: true", "make it a whole number"),
    ("config.yaml", "min: 0, max: 65535", "min: 9, max: 5", "has min 9 above max 5"),
    ("config.yaml", "min: 0, max: 65535, ", "", "str and int have min and max"),
    ("config.yaml", "default: low", "default: middle", "take one of its values"),
    ("config.yaml", "values: [low, high], ", "", "values: [...] belongs to enum"),
    ("config.yaml", "default: false", 'default: "false"', "make it true or false"),
    ("config.yaml", "env: SOUK_PORT", "env: SOUK_WAIT_MS", "ends in _MS; add unit: ms"),
    ("config.yaml", "max: 65535", "max: 65535, unit: minutes", "take one of us, ms, s"),
    ("config.yaml", "process: [all]", "process: [gateway]", "no setting is read by soukctl"),
    # metrics
    ("metrics.yaml", "souk_calls_total", "souk_calls", "counters, and only they, end in _total"),
    ("metrics.yaml", "souk_up", "souk_up_total", "counters, and only they, end in _total"),
    ("metrics.yaml", "souk_wait_seconds", "souk_wait", "end the name in _seconds"),
    ("metrics.yaml", "souk_calls_total", "souk_calls_ms_total", "use base units"),
    ("metrics.yaml", "souk_up", "calls", "it has to match souk_"),
    (
        "metrics.yaml",
        "name: souk_up, kind: gauge",
        "name: souk_calls_total, kind: counter",
        "stands twice",
    ),
    ("metrics.yaml", "series_max: 10, ", "", "labels and series_max belong together"),
    ("metrics.yaml", "labels: [method]", "labels: [le]", "a label that Prometheus sets"),
    ("metrics.yaml", "bounds_us: [10, 20]", "bounds_us: [20, 10]", "ascending whole numbers"),
    (
        "metrics.yaml",
        "kind: gauge",
        "kind: gauge, bounds_us: [1]",
        "only histograms have bounds_us",
    ),
    ("metrics.yaml", "process: [all]", "process: [all, broker]", "keep [all]"),
    # types
    ("shop.yaml", "  part:\n", "  part_req:\n", "part_req is no name of a type"),
    ("shop.yaml", "  part:\n", "  money:\n", "money is a kind or a shared type"),
    ("shop.yaml", "    description: A part.\n", "", "type part has no description"),
    (
        "shop.yaml",
        "item: {type: part}, max: 9, encoded",
        "item: {type: thing}, max: 9, encoded",
        "holds itself (thing -> thing)",
    ),
    (
        "stock.yaml",
        "methods:",
        "types:\n  box:\n    description: A box.\n    fields: {}\nmethods:",
        "the type box is never used",
    ),
    (
        "types.yaml",
        "types:",
        "types:\n  box:\n    description: A box.\n    fields: {}",
        "the type box is never used",
    ),
    # fields
    (
        "shop.yaml",
        "      state: {type: enum, values: [new, old], required",
        "      int: {type: enum, values: [new, old], required",
        "int is no name of a field",
    ),
    ("shop.yaml", "      notes:", "      new_notes:", "new_notes is no name of a field"),
    ("shop.yaml", "description: Notes., ", "", "field notes of method create has no description"),
    ("shop.yaml", "type: money, nullable", "type: coin, nullable", "unknown type coin"),
    (
        "shop.yaml",
        "type: float, min",
        "type: float, format: line, min",
        "is of kind float and has format",
    ),
    (
        "shop.yaml",
        "item: {type: str, max: 10}, max: 5, description: Notes.",
        "max: 5, description: Notes.",
        "notes of method create has no item",
    ),
    (
        "shop.yaml",
        "item: {type: str, max: 10}, max: 5, description: Notes.",
        "item: {type: int, min: 0, max: 10}, max: 5, description: Notes.",
        "a map holds str",
    ),
    (
        "shop.yaml",
        "name: {type: str, min: 1, max: 20, required",
        "name: {type: str, min: 21, max: 20, required",
        "has min 21 above max 20",
    ),
    (
        "shop.yaml",
        "name: {type: str, min: 1, max: 20, required",
        "name: {type: str, min: 1.5, max: 20, required",
        "make it a whole number",
    ),
    (
        "shop.yaml",
        "name: {type: str, min: 1, max: 20, required",
        "name: {type: str, min: -1, max: 20, required",
        "a length is at least 0",
    ),
    ("types.yaml", "max: 1000", "max: 9007199254740992", "JSON readers are exact up to"),
    ("shop.yaml", "values: [new, old], default", "values: [], default", "give it 1 to 64"),
    (
        "shop.yaml",
        "prefix: thg_, max: 30, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}\n      size",
        "max: 30, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}\n      size",
        "prefix and format: id belong together",
    ),
    (
        "shop.yaml",
        "item: {type: part}, max: 9, description",
        "item: {type: part}, max: 9, unique: true, description",
        "only lists of str are checked",
    ),
    (
        "shop.yaml",
        "id: {type: str, required",
        "id: {type: list, item: {type: str}, max: 3, encoded: true, required",
        "only a type, or a list of a type, travels encoded",
    ),
    ("shop.yaml", "default: new", "default: new, required: true", "is required and has a default"),
    (
        "shop.yaml",
        "default: new",
        "default: middle",
        "the default of field state of method create is none of new, old",
    ),
    ("shop.yaml", "example: wheel", "example: 5", "is not of kind str"),
    ("shop.yaml", "example: wheel", 'example: ""', "is out of bounds"),
    ("shop.yaml", "example: wheel", "example: a wheel that is far too long", "is out of bounds"),
    (
        "shop.yaml",
        "description: Price.}\n      parts",
        "description: Price., example: {amount: 1}}\n      parts",
        "lacks currency",
    ),
    (
        "shop.yaml",
        "description: Price.}\n      parts",
        "description: Price., example: {coins: 1}}\n      parts",
        "has the unknown field coins",
    ),
    ("types.yaml", "example: EUR", "example: eur", "is not of format currency"),
    ("shop.yaml", "example: new", "example: middle", "is none of new, old"),
    ("shop.yaml", 'example: "2026-11-24T10:00:00Z"', 'example: "24.11.2026"', "is no time such as"),
    ("shop.yaml", "example: [a]", "example: [a, 5]", "has an item that is not of kind str"),
    ("shop.yaml", ", example: wheel", "", "has no example"),
    ("shop.yaml", ", example: [a]", "", "has no example"),
    (
        "shop.yaml",
        "image: {type: bytes",
        "image: {type: bytes, missing: not_found",
        "has missing but is not required",
    ),
    # where a field may stand
    (
        "stock.yaml",
        "count: {type: int",
        "count: {type: int, from: query",
        "has from; only a request's own fields have it",
    ),
    (
        "stock.yaml",
        "count: {type: int, required: true",
        "count: {type: int, default: 1",
        "has default; only a request's own fields",
    ),
    (
        "types.yaml",
        "amount: {type: int",
        "amount: {type: int, missing: not_found",
        "has missing; only a request's own",
    ),
    (
        "shop.yaml",
        "image: {type: bytes",
        "image: {name: Image, type: bytes",
        "only query parameters and headers have one",
    ),
    (
        "shop.yaml",
        "notes: {type: map, item: {type: str, max: 10}, max: 5, description: Notes., example: {a: b}",
        "notes: {type: multimap, item: {type: str, max: 10}, max: 5, description: Notes., example: {a: [b]}",
        "is a multimap in the body",
    ),
    (
        "shop.yaml",
        "tag: {type: list, from: query",
        "tag: {type: list, from: header, name: X-Tag",
        "is of kind list; header values are",
    ),
    (
        "shop.yaml",
        "tag: {type: list",
        "tag: {nullable: true, type: list",
        "a query value cannot be null",
    ),
    (
        "shop.yaml",
        "max: 30, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}\n      if_match",
        "max: 30, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}\n      if_match",
        "takes the optional id from every path",
    ),
    ("shop.yaml", "name: If-Match, ", "", "add the header's name"),
    (
        "shop.yaml",
        "missing: precondition_required",
        "missing: nowhere",
        "names the unknown error nowhere",
    ),
    # bounds of what clients send
    (
        "shop.yaml",
        "name: {type: str, min: 1, max: 20, required",
        "name: {type: str, required",
        "field name of method create comes from clients without bounds",
    ),
    (
        "shop.yaml",
        "name: {type: str, min: 1, max: 20, format",
        "name: {type: str, format",
        "field name of type part comes from clients without bounds",
    ),
    (
        "types.yaml",
        "min: 0, max: 1000",
        "max: 1000",
        "field amount of type money comes from clients without bounds; add min: and max:",
    ),
    (
        "shop.yaml",
        "item: {type: str, max: 10}, max: 5, description: Notes.",
        "item: {type: str, max: 10}, description: Notes.",
        "field notes of method create comes from clients without bounds",
    ),
    (
        "shop.yaml",
        "item: {type: str, max: 10}, max: 5, description: Notes.",
        "item: {type: str}, max: 5, description: Notes.",
        "the items of notes",
    ),
    (
        "shop.yaml",
        "item: {type: part}, max: 9, description",
        "item: {type: part}, encoded: true, max: 9, description",
        "is encoded; only replies are",
    ),
    # services and methods
    ("stock.yaml", "service: stock", "service: store", "name the file store.yaml"),
    ("stock.yaml", "  count:\n", "  Count:\n", "Count is no name of a method"),
    (
        "stock.yaml",
        "    reply:\n",
        "    reply_type: money\n    reply:\n",
        "has reply and reply_type, or neither",
    ),
    (
        "shop.yaml",
        "    reply_type: thing\n    success: {status: 200, etag: version}\n    errors: [not_found]\n  create",
        "    reply_type: thong\n    success: {status: 200, etag: version}\n    errors: [not_found]\n  create",
        "replies the unknown type thong",
    ),
    ("stock.yaml", "auth: none", "auth: nobody", "write none, optional, guest, user or {scope"),
    ("stock.yaml", "auth: none", 'auth: {scope: "shop:read"}', "asks for the unknown scope"),
    (
        "shop.yaml",
        'auth: {scope: "shop:write"}',
        "auth: none",
        "method create has key: optional and auth: none",
    ),
    (
        "shop.yaml",
        'key: required\n    priority: account\n    auth: {scope: "shop:write"}',
        "key: required\n    priority: account\n    auth: optional",
        "a key belongs to somebody",
    ),
    ("stock.yaml", "auth: none", "auth: none\n    auth_source: true", "has no int since"),
    (
        "shop.yaml",
        "auth: none",
        "auth: none\n    auth_source: true",
        "the gateway calls it over the bus: no http, auth: none, class: read",
    ),
    (
        "stock.yaml",
        "auth: none",
        "auth: user\n    auth_source: true",
        "count is auth_source with a binding, auth: user",
    ),
    # roles
    ("roles.yaml", '["shop:write"]', '["shop:writes"]', "clerk has the unknown scope shop:writes"),
    ("roles.yaml", '["*"]', '["*", "shop:write"]', "boss has * and others"),
    ("roles.yaml", "name: boss", "name: clerk", "the role clerk stands twice"),
    ("roles.yaml", '"shop:admin"', '"shop:write"', "the scope shop:write stands twice"),
    ("roles.yaml", '"shop:admin"', "admin", "it has to match [a-z]+:[a-z]+"),
    ("roles.yaml", "name: boss", "name: Boss", "it has to match"),
    ("roles.yaml", ", scopes: []", "", "role buyer has no scopes"),
    ("roles.yaml", "  - {name: buyer, description: Buys., scopes: []}", "  - buyer", "is no row"),
    # paths
    ("shop.yaml", "path: /v1/things}", "path: /.well-known/}", "it has to match"),
    ("shop.yaml", "path: /v1/things}", 'path: "/.well-known/{id}"}', "it has to match"),
    ("shop.yaml", "path: /v1/things}", "path: /.well-known/../keys}", "it has to match"),
    ("shop.yaml", "path: /v1/things}", "path: /.git/config}", "it has to match"),
    ("stock.yaml", "auth: none", 'auth: {scope: "all"}', "it has to match [a-z]+:[a-z]+"),
    ("stock.yaml", "timeout_ms: 1000", "timeout_ms: 600001", "it has to be at most 600000"),
    (
        "stock.yaml",
        "reply_bytes_max: 1000",
        "reply_bytes_max: 2000000",
        "it has to be at most 1048576",
    ),
    ("stock.yaml", "key: none", "key: optional", "read allows none"),
    ("shop.yaml", "key: optional", "key: none", "keyed allows required, optional"),
    ("shop.yaml", "lane: batch", "lane: inline", "inline handlers cannot wait"),
    (
        "shop.yaml",
        "request_bytes_max: 1000\n    reply_bytes_max: 65536\n    memory_bytes_max: 65536\n    body",
        "request_bytes_max: 5000\n    reply_bytes_max: 65536\n    memory_bytes_max: 4096\n    body",
        "raise it above request_bytes_max",
    ),
    (
        "shop.yaml",
        "request_bytes_max: 0",
        "request_bytes_max: 10",
        "0 without body fields, above 0 with them",
    ),
    (
        "shop.yaml",
        "request_bytes_max: 1000\n    reply_bytes_max: 65536\n    memory_bytes_max: 65536\n    body",
        "request_bytes_max: 0\n    reply_bytes_max: 65536\n    memory_bytes_max: 65536\n    body",
        "0 without body fields",
    ),
    (
        "shop.yaml",
        "body_fields_min: 1",
        "body_fields_min: 2",
        "has 1 body fields; lower body_fields_min",
    ),
    ("stock.yaml", "errors: []", "errors: [lost]", "names the unknown error lost"),
    ("stock.yaml", "errors: []", "errors: [no_memory]", "which is not public"),
    # success
    ("stock.yaml", "status: 200", "status: 418", "take 200, 201, 202 or 204"),
    ("shop.yaml", "status: 201", "status: 200", "201 and location belong together"),
    (
        "shop.yaml",
        "{status: 200, etag: version}\n    errors: [not_found]\n  create",
        "{status: 204, etag: version}\n    errors: [not_found]\n  create",
        "204 is for an empty reply",
    ),
    (
        "shop.yaml",
        "{status: 200, etag: version}",
        "{status: 200, etag: version, etag_more: version}",
        "name a str of the reply, beside etag and without location",
    ),
    (
        "shop.yaml",
        "etag: version, location",
        "etag: version, etag_more: slug, location",
        "name a str of the reply, beside etag and without location",
    ),
    (
        "shop.yaml",
        "etag: version, location",
        "etag: price, location",
        "name a required str or int of the reply",
    ),
    (
        "shop.yaml",
        'location: "/v1/things/{id}"',
        'location: "/v1/things/{slug}"',
        "has {slug} in its location",
    ),
    ("stock.yaml", "{status: 200}", "{status: 200, next: page.next}", "has next: page.next"),
    ("stock.yaml", "{status: 200}", "{status: 200, next: count}", "no query parameter cursor"),
    # routes
    (
        "stock.yaml",
        "    class: read",
        "    http: [here]\n    class: read",
        "a binding that is no mapping",
    ),
    (
        "stock.yaml",
        "    class: read",
        '    http:\n      - {verb: GET, path: "/count"}\n    class: read',
        "it has to match /v1",
    ),
    (
        "shop.yaml",
        'GET, path: "/v1/things/{id}"',
        'GET, path: "/v1/things/{key}"',
        "the fields from: path are ['id']",
    ),
    (
        "shop.yaml",
        "      name: {type: str, min: 1, max: 20, required: true, description: Name., example: cart}\n      price",
        "      at: {type: str, from: path, max: 9, description: At., example: a}\n      name: {type: str, min: 1, max: 20, required: true, description: Name., example: cart}\n      price",
        "takes the optional at from no path",
    ),
    ("shop.yaml", "verb: POST", "verb: DELETE", "DELETE of method create has the body field name"),
    ("shop.yaml", "verb: PATCH", "verb: GET", "is bound to method change of class keyed"),
    ("shop.yaml", "class: read", "class: unkeyed", "GET reads"),
    (
        "stock.yaml",
        "    class: read",
        "    http:\n      - {verb: POST, path: /v1/things}\n    class: read",
        "POST /v1/things is bound to shop.create too",
    ),
    (
        "shop.yaml",
        'PATCH, path: "/v1/things/{id}"',
        'PATCH, path: "/v1/{id}/all"',
        "match the same requests",
    ),
    (
        "stock.yaml",
        "    request: {}\n",
        "    request:\n      q: {type: str, max: 9, from: query, description: Q., example: q}\n",
        "no HTTP binding but fields from path, query or header",
    ),
    # calls
    (
        "shop.yaml",
        "calls: [stock.count]",
        "calls: [stock.counts]",
        "calls the unknown stock.counts",
    ),
    (
        "stock.yaml",
        "    errors: []",
        "    errors: []\n    calls: [shop.create]",
        "call in a circle",
    ),
    (
        "shop.yaml",
        "calls: [stock.count]",
        "calls: [shop.get]",
        "the services shop -> shop call in a circle",
    ),
    # events
    ("events.yaml", "type: thing.lost", "type: lost", "it has to match"),
    ("events.yaml", "type: thing.lost", "type: thing.made", "the event thing.made stands twice"),
    (
        "events.yaml",
        "thing.lost, service: shop",
        "thing.lost, service: mall",
        "is of the unknown service mall; services are shop, stock",
    ),
    (
        "events.yaml",
        "type: thing.lost",
        "type: part.lost",
        "is about the aggregate thing; its type begins with the aggregate",
    ),
    (
        "events.yaml",
        "description: A thing was lost.",
        "descr: A.",
        "event thing.lost has the unknown key descr; did you mean description?",
    ),
    (
        "events.yaml",
        "price: {type: money, nullable: true",
        "price: {type: coin, nullable: true",
        "field price of event thing.made has the unknown type coin",
    ),
    (
        "events.yaml",
        "price: {type: money, nullable: true",
        "price: {type: money, encoded: true",
        "field price of event thing.made is encoded; a payload is JSON",
    ),
    (
        "events.yaml",
        "price: {type: money, nullable: true, description: Price.}",
        "price: {type: multimap, item: {type: str}, description: P., example: {a: [b]}}",
        "field price of event thing.made is a multimap",
    ),
    ("events.yaml", "nullable: true", "from: query", "only a request's own fields have it"),
    # machines
    (
        "shop.yaml",
        "  thing:\n    description: What",
        "  Thing:\n    description: What",
        "name of a machine",
    ),
    (
        "shop.yaml",
        "    description: What becomes of a thing.\n",
        "",
        "machine thing has no description",
    ),
    (
        "shop.yaml",
        "initial: fresh",
        "initial: raw",
        "machine thing begins in the unknown state raw; states are fresh, used, gone",
    ),
    (
        "shop.yaml",
        "      used: Somebody has it.\n      gone: It is no more.\n",
        "",
        "machine thing has 1 states; give it 2 to 32",
    ),
    ("shop.yaml", "      used: Some", "      in-use: Some", "in-use is no name of a state"),
    (
        "shop.yaml",
        "used: Somebody has it.",
        "used: 7",
        "the state used of machine thing has no meaning",
    ),
    (
        "shop.yaml",
        "by: lose, to: gone",
        "by: lose, to: lost",
        "the move lose of machine thing names the unknown state lost",
    ),
    (
        "shop.yaml",
        "from: [used], by: lose",
        "from: [usd], by: lose",
        "the move lose of machine thing names the unknown state usd",
    ),
    (
        "shop.yaml",
        "from: [used], by: lose",
        "from: [], by: lose",
        "move lose of machine thing is from nowhere",
    ),
    ("shop.yaml", "by: lose, to", "by: Lose, to", "it has to match"),
    (
        "shop.yaml",
        "from: [used], by: lose",
        "from: [used], by: take",
        "machine thing moves from used by take twice",
    ),
    (
        "shop.yaml",
        "- {from: [used], by: lose, to: gone}",
        "- lose",
        "'lose' is no move",
    ),
    (
        "shop.yaml",
        "from: [fresh, used], by: take, to: used",
        "from: [used], by: take, to: used",
        "the state used of machine thing is never reached from fresh",
    ),
    (
        "stock.shelf.yaml",
        "methods:",
        "machines:\n  shelf:\n    description: A shelf.\n    states: {up: Up.}\n    initial: up\n    moves: []\nmethods:",
        "stock.shelf.yaml:10: machine shelf has 1 states",
    ),
]


def test_sound_schemas_pass(folder):
    project = meta.read(folder)
    assert [each.name for each in project.services] == ["shop", "stock"]
    assert [each.name for each in project.services[0].types] == ["part", "thing"]


def test_the_project_itself_passes():
    assert meta.read(ROOT / "schemas").services


@pytest.mark.parametrize(("file", "old", "new", "said"), CASES)
def test_rule(folder, file, old, new, said):
    assert old in FILES[file]
    (folder / file).write_text(FILES[file].replace(old, new, 1))
    with pytest.raises(Problem) as caught:
        meta.read(folder)
    hits = [line for line in caught.value.lines if said in line]
    assert hits, caught.value
    assert re.match(r"[a-z.]+\.yaml:[0-9]+: .+; .+", hits[0]), (
        "file, line, what is wrong, how to mend it"
    )


def test_a_part_of_no_service(folder):
    (folder / "stick.shelf.yaml").write_text(FILES["stock.shelf.yaml"])
    with pytest.raises(Problem, match="stick.shelf.yaml:1: it is part of no service"):
        meta.read(folder)


def test_the_line_is_the_bad_one(folder):
    text = FILES["shop.yaml"].replace("priority: account", "priority: urgent", 1)
    (folder / "shop.yaml").write_text(text)
    with pytest.raises(Problem) as caught:
        meta.read(folder)
    line = text.splitlines().index("    priority: urgent") + 1
    assert caught.value.lines[0].startswith(
        f"shop.yaml:{line}: priority of method create is urgent; take one of"
    )


def test_too_many_fields(folder):
    fields = "".join(f"      f{at}: {{type: bool, description: F.}}\n" for at in range(64))
    text = FILES["stock.yaml"].replace("    success:", fields + "    success:")
    (folder / "stock.yaml").write_text(text)
    with pytest.raises(Problem, match="has 65 fields; the engine knows 64"):
        meta.read(folder)


def test_all_problems_are_named_at_once(folder):
    (folder / "config.yaml").write_text(FILES["config.yaml"].replace("8080", "99999"))
    (folder / "stock.yaml").write_text(FILES["stock.yaml"].replace("status: 200", "status: 199"))
    with pytest.raises(Problem) as caught:
        meta.read(folder)
    assert {line.split(":")[0] for line in caught.value.lines} == {"config.yaml", "stock.yaml"}


def test_a_method_may_be_bound_twice_and_a_literal_beats_a_parameter(folder):
    text = FILES["stock.yaml"].replace(
        "    class: read",
        "    http:\n      - {verb: GET, path: /v1/things/count}\n      - {verb: GET, path: /v1/count}\n    class: read",
    )
    (folder / "stock.yaml").write_text(text)
    assert len(meta.read(folder).services[1].methods[0].http) == 2


def test_a_path_field_may_be_of_some_bindings_only(folder):
    text = FILES["shop.yaml"].replace(
        "      - {verb: POST, path: /v1/things}",
        '      - {verb: POST, path: /v1/things}\n      - {verb: POST, path: "/v1/shelves/{shelf}/things"}',
    )
    text = text.replace(
        "      name: {type: str, min: 1, max: 20, required: true, description: Name., example: cart}\n      price",
        "      shelf: {type: str, from: path, max: 9, description: Shelf., example: a}\n"
        "      name: {type: str, min: 1, max: 20, required: true, description: Name., example: cart}\n      price",
    )
    (folder / "shop.yaml").write_text(text)
    paths = json.loads(emit_openapi.document(meta.read(folder)))["paths"]
    named = {
        path: [each["name"] for each in item["post"]["parameters"] if each["in"] == "path"]
        for path, item in paths.items()
        if "post" in item
    }
    assert named == {"/v1/things": [], "/v1/shelves/{shelf}/things": ["shelf"]}
    assert all(
        each["required"]
        for item in paths.values()
        for operation in item.values()
        for each in operation["parameters"]
        if each["in"] == "path"
    )
