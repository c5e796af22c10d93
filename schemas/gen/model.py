"""What the schemas say, checked and resolved: the emitters read only this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Error:
    code: str
    number: int
    status: int
    title: str
    retry: bool
    public: bool
    description: str | None
    constraints: list[str]  # of PostgreSQL, whose violation is this error

    @property
    def enum(self) -> str:
        return f"SOUK_ERR_{self.code.upper()}"


@dataclass
class Setting:
    env: str
    flag: str | None
    process: list[str]
    kind: str
    default: Any
    description: str
    values: list[str]
    min: int
    max: int
    unit: str | None
    secret: bool

    @property
    def member(self) -> str:
        return (self.flag or self.env.removeprefix("SOUK_").lower()).replace("-", "_")

    @property
    def default_text(self) -> str:
        return (
            ("true" if self.default else "false")
            if isinstance(self.default, bool)
            else str(self.default)
        )


@dataclass
class Metric:
    name: str
    kind: str
    labels: list[str]
    series_max: int
    process: list[str]
    help: str
    bounds_us: list[int]

    @property
    def enum(self) -> str:
        return f"SOUK_METRIC_{self.name.removeprefix('souk_').upper()}"


@dataclass
class Scope:
    """A right that a method can ask for."""

    name: str
    description: str


@dataclass
class Role:
    """What a user can be; its scopes are those of roles.yaml, or "*" for all."""

    name: str
    description: str
    scopes: list[str]

    @property
    def enum(self) -> str:
        return f"SOUK_USER_ROLE_{self.name.upper()}"


@dataclass
class Field:
    """A field, or the item of a list, map or multimap (name is then "")."""

    name: str
    kind: str  # bool int float str enum time bytes list map multimap any record
    type: Type | None  # of a record
    item: Field | None
    min: int | float | None
    max: int | float | None
    required: bool
    nullable: bool
    default: Any
    format: str | None
    prefix: str | None
    values: list[str]
    unique: bool
    encoded: bool
    source: str  # body path query header
    source_name: str | None
    missing: str
    description: str
    example: Any
    bit: int = 0


@dataclass
class Type:
    """A named type, or the request or reply of a method."""

    name: str
    service: str  # "souk" for the shared ones
    description: str
    fields: list[Field]
    body_fields_min: int = 0
    stored: bool = False  # the form of a record, which no method has to use

    @property
    def c(self) -> str:
        """What its C names begin with."""
        return f"{self.service}_{self.name}"

    def of_source(self, *sources: str) -> list[Field]:
        return [each for each in self.fields if each.source in sources]

    def nested(self) -> list[Type]:
        """The types that its fields hold, each once, in order."""
        found = [(each.item if each.item else each).type for each in self.fields]
        return list({id(each): each for each in found if each}.values())


@dataclass
class Event:
    """A kind of row in a service's outbox."""

    type: str
    service: str
    aggregate: str
    description: str
    payload: Type

    @property
    def enum(self) -> str:
        return f"SOUK_EVENT_{self.type.replace('.', '_').upper()}"


@dataclass
class Move:
    """From any of these states to one other, or the same."""

    sources: list[str]
    by: str
    to: str
    description: str | None


@dataclass
class Machine:
    """The states that a thing of a service can be in, with their meanings, and its moves between them."""

    service: str
    name: str
    description: str
    states: dict[str, str]
    initial: str
    moves: list[Move]

    @property
    def c(self) -> str:
        return f"{self.service}_{self.name}"

    def names(self) -> list[str]:
        """What it moves by, each once."""
        return list(dict.fromkeys(each.by for each in self.moves))

    def target(self, state: str, by: str) -> str | None:
        found = (each.to for each in self.moves if each.by == by and state in each.sources)
        return next(found, None)


@dataclass
class Binding:
    verb: str
    path: str


@dataclass
class Method:
    service: str
    name: str
    summary: str
    description: str | None
    http: list[Binding]
    cls: str
    key: str
    priority: str
    auth: str  # none optional guest user scope
    scope: str | None  # of auth scope, and only of it
    auth_source: bool  # the gateway reads keys and key hashes here
    timeout_ms: int
    lane: str
    request_bytes_max: int
    reply_bytes_max: int
    memory_bytes_max: int
    request: Type
    reply: Type  # a named type when `reply_type` is set
    reply_named: bool
    status: int
    etag: str | None
    etag_more: str | None  # an optional field, joined to the ETag when it is there
    location: str | None
    next: str | None
    errors: list[str]
    calls: list[str]

    @property
    def c(self) -> str:
        return f"{self.service}_{self.name}"


@dataclass
class Service:
    name: str
    description: str
    types: list[Type]  # in an order in which each stands behind those that it holds
    methods: list[Method]
    machines: list[Machine] = field(default_factory=list)


@dataclass
class Project:
    errors: list[Error] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    types: list[Type] = field(default_factory=list)  # shared
    services: list[Service] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def error(self, code: str) -> Error:
        return next(each for each in self.errors if each.code == code)

    def auth_source(self) -> Method | None:
        return next((each for each in self.methods() if each.auth_source), None)

    def machines(self) -> Iterator[Machine]:
        for service in self.services:
            yield from service.machines

    def methods(self) -> Iterator[Method]:
        for service in self.services:
            yield from service.methods
