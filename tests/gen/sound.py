"""A small sound set of schemas, for tests to spoil."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

FILES = {
    "errors.yaml": """\
errors:
  - {code: malformed, number: 1, status: 400, title: Malformed}
  - {code: validation, number: 2, status: 422, title: Not valid}
  - {code: unknown_parameter, number: 3, status: 400, title: Unknown parameter}
  - {code: precondition_required, number: 4, status: 428, title: If-Match is required}
  - {code: unauthenticated, number: 17, status: 401, title: Who are you}
  - {code: forbidden, number: 18, status: 403, title: Not for you}
  - {code: not_found, number: 6, status: 404, title: Not found}
  - {code: internal, number: 23, status: 500, title: Our fault}
  - {code: no_memory, number: 60, status: 500, public: false, title: No memory, constraints: [taken_key]}
""",
    "types.yaml": """\
types:
  money:
    description: An amount.
    fields:
      amount: {type: int, min: 0, max: 1000, required: true, description: Cents., example: 100}
      currency: {type: str, min: 3, max: 3, format: currency, required: true, description: Code., example: EUR}
""",
    "config.yaml": """\
config:
  - {env: SOUK_PORT, flag: port, process: [gateway], kind: int, min: 0, max: 65535, default: 8080, description: Port.}
  - {env: SOUK_LEVEL, flag: level, process: [all], kind: enum, values: [low, high], default: low, description: Level.}
  - {env: SOUK_URI, process: [worker], kind: str, min: 0, max: 20, default: "", secret: true, description: Where.}
  - {env: SOUK_FAST, flag: fast, process: [broker], kind: bool, default: false, description: Hurry.}
""",
    "metrics.yaml": """\
metrics:
  - {name: souk_calls_total, kind: counter, labels: [method], series_max: 10, process: [worker], help: Calls.}
  - {name: souk_up, kind: gauge, process: [all], help: Is up.}
  - {name: souk_wait_seconds, kind: histogram, bounds_us: [10, 20], process: [broker], help: Waiting.}
""",
    "roles.yaml": """\
scopes:
  - {name: "shop:write", description: Change things.}
  - {name: "shop:admin", description: More than that.}
roles:
  - {name: buyer, description: Buys., scopes: []}
  - {name: clerk, description: Sells., scopes: ["shop:write"]}
  - {name: boss, description: May do all., scopes: ["*"]}
""",
    "events.yaml": """\
events:
  - type: thing.made
    service: shop
    aggregate: thing
    description: A thing was made.
    payload:
      thing_id: {type: str, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}
      price: {type: money, nullable: true, description: Price.}
      state: {type: enum, values: [new, old], required: true, description: State., example: new}
  - {type: thing.lost, service: shop, aggregate: thing, description: A thing was lost., payload: {}}
""",
    "shop.yaml": """\
service: shop
description: A shop.
types:
  part:
    description: A part.
    fields:
      name: {type: str, min: 1, max: 20, format: line, required: true, description: Name., example: wheel}
  thing:
    description: A thing.
    fields:
      id: {type: str, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}
      version: {type: int, required: true, description: Version., example: 1}
      state: {type: enum, values: [new, old], required: true, description: State., example: new}
      price: {type: money, nullable: true, description: Price.}
      parts: {type: list, item: {type: part}, max: 9, encoded: true, description: Parts.}
      made_at: {type: time, required: true, description: When., example: "2026-11-24T10:00:00Z"}
machines:
  thing:
    description: What becomes of a thing.
    states:
      fresh: It was just made.
      used: Somebody has it.
      gone: It is no more.
    initial: fresh
    moves:
      - {from: [fresh, used], by: take, to: used}
      - {from: [fresh], by: drop, to: gone, description: Nobody wanted it.}
      - {from: [used], by: lose, to: gone}
      - {from: [used], by: mend, to: fresh}
methods:
  get:
    summary: Read a thing
    http:
      - {verb: GET, path: "/v1/things/{id}"}
    class: read
    key: none
    priority: browse
    auth: none
    timeout_ms: 1000
    lane: inline
    request_bytes_max: 0
    reply_bytes_max: 65536
    memory_bytes_max: 65536
    request:
      id: {type: str, from: path, format: id, prefix: thg_, max: 30, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}
      size: {type: multimap, from: query, item: {type: str, max: 10}, max: 5, description: Sizes., example: {width: ["1", "2"]}}
      tag: {type: list, from: query, item: {type: str, max: 10}, max: 5, unique: true, description: Tags., example: [a]}
    reply_type: thing
    success: {status: 200, etag: version}
    errors: [not_found]
  create:
    summary: Make a thing
    http:
      - {verb: POST, path: /v1/things}
    class: keyed
    key: optional
    priority: account
    auth: {scope: "shop:write"}
    timeout_ms: 1000
    lane: slot
    request_bytes_max: 1000
    reply_bytes_max: 65536
    memory_bytes_max: 65536
    request:
      name: {type: str, min: 1, max: 20, required: true, description: Name., example: cart}
      price: {type: money, required: true, description: Price.}
      state: {type: enum, values: [new, old], default: new, description: State., example: old}
      parts: {type: list, item: {type: part}, max: 9, description: Parts.}
      notes: {type: map, item: {type: str, max: 10}, max: 5, description: Notes., example: {a: b}}
      weight: {type: float, min: 0, max: 9.5, nullable: true, description: Weight., example: 1.5}
      image: {type: bytes, max: 100, description: Picture., example: aGk}
    reply_type: thing
    success: {status: 201, etag: version, location: "/v1/things/{id}"}
    errors: []
  change:
    summary: Change a thing
    http:
      - {verb: PATCH, path: "/v1/things/{id}"}
    class: keyed
    key: required
    priority: account
    auth: {scope: "shop:write"}
    timeout_ms: 1000
    lane: batch
    request_bytes_max: 1000
    reply_bytes_max: 65536
    memory_bytes_max: 65536
    body_fields_min: 1
    request:
      id: {type: str, from: path, format: id, prefix: thg_, max: 30, required: true, description: Id., example: thg_01JD3YV4M8Q6T0R7ZK5N2X9W1B}
      if_match: {type: str, from: header, name: If-Match, format: etag, max: 9, required: true, missing: precondition_required, description: Version., example: "\\"1\\""}
      name: {type: str, min: 1, max: 20, description: Name., example: cart}
    reply_type: thing
    success: {status: 200, etag: version}
    errors: [not_found]
    calls: [stock.count]
""",
    "stock.yaml": """\
service: stock
description: A store.
methods:
  count:
    summary: Count things
    class: read
    key: none
    priority: batch
    auth: none
    timeout_ms: 1000
    lane: slot
    request_bytes_max: 0
    reply_bytes_max: 1000
    memory_bytes_max: 65536
    request: {}
    reply:
      count: {type: int, required: true, description: Count., example: 3}
    success: {status: 200}
    errors: []
""",
    "stock.shelf.yaml": """part_of: stock
types:
  shelf:
    description: A shelf.
    fields:
      room: {type: int, required: true, description: Room., example: 3}
methods:
  look:
    summary: Look at a shelf
    class: read
    key: none
    priority: batch
    auth: none
    timeout_ms: 1000
    lane: slot
    request_bytes_max: 0
    reply_bytes_max: 1000
    memory_bytes_max: 65536
    request: {}
    reply_type: shelf
    success: {status: 200}
    errors: []
""",
}
