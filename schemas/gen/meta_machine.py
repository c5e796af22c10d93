"""The meta-schema of state machines: which states a thing of a service can be in, and by what it moves."""

from __future__ import annotations

import re

from .check import Checker, Key
from .loader import Map
from .meta_service import NAME
from .model import Machine, Move

STATES_MAX = 32
MOVES_MAX = 64
_MACHINE = {
    "description": Key("text", True),
    "states": Key("map", True),
    "initial": Key("text", True),
    "moves": Key("seq", True),
}
_MOVE = {
    "from": Key("texts", True),
    "by": Key("text", True, pattern=NAME),
    "to": Key("text", True),
    "description": Key("text"),
}


def machines(check: Checker, root: Map, service: str) -> list[Machine]:
    """Those of a service, in the order in which they stand."""
    nodes, ret = root.get("machines", {}), list[Machine]()
    for name, node in nodes.items():
        said = f"machine {name}"
        if not re.fullmatch(NAME, name):
            check.add(nodes, name, f"{name} is no name of a machine", f"match {NAME}")
        elif not isinstance(node, Map):
            check.add(nodes, name, f"{said} is no mapping", "write its keys")
        elif check.shape(node, _MACHINE, said) and (one := _machine(check, node, service, name)):
            ret.append(one)
    return ret


def _machine(check: Checker, node: Map, service: str, name: str) -> Machine | None:
    before, said = len(check.problems), f"machine {name}"
    states = _states(check, node, said)
    if node["initial"] not in states:
        check.add(
            node,
            "initial",
            f"{said} begins in the unknown state {node['initial']}",
            f"states are {', '.join(states)}",
        )
    moves: list[Move] = []
    targets: dict[tuple[str, str], str] = {}
    if len(node["moves"]) > MOVES_MAX:
        check.add(node, "moves", f"{said} has {len(node['moves'])} moves", f"{MOVES_MAX} at most")
    for at, row in enumerate(node["moves"]):
        if not isinstance(row, Map):
            check.add(
                node["moves"], at, f"{row!r} is no move", "write {from: [...], by: ..., to: ...}"
            )
        elif check.shape(row, _MOVE, f"a move of {said}"):
            _move(check, row, said, states, targets)
            moves.append(Move(list(row["from"]), row["by"], row["to"], row.get("description")))
    if len(check.problems) == before:
        _reach(check, node, said, targets)
    if len(check.problems) > before:
        return None
    return Machine(service, name, node["description"], states, node["initial"], moves)


def _states(check: Checker, node: Map, said: str) -> dict[str, str]:
    nodes = node["states"]
    if not 2 <= len(nodes) <= STATES_MAX:
        check.add(node, "states", f"{said} has {len(nodes)} states", f"give it 2 to {STATES_MAX}")
    for state, meaning in nodes.items():
        if not re.fullmatch(NAME, state):
            check.add(nodes, state, f"{state} is no name of a state", f"match {NAME}")
        if not isinstance(meaning, str) or not meaning.strip():
            check.add(
                nodes,
                state,
                f"the state {state} of {said} has no meaning",
                "write a text behind it",
            )
    return {state: str(meaning) for state, meaning in nodes.items()}


def _move(
    check: Checker,
    row: Map,
    said: str,
    states: dict[str, str],
    targets: dict[tuple[str, str], str],
) -> None:
    by, to = row["by"], row["to"]
    if not row["from"]:
        check.add(row, "from", f"the move {by} of {said} is from nowhere", "name a state")
    for key, state in (("to", to), *(("from", each) for each in row["from"])):
        if state not in states:
            check.add(
                row,
                key,
                f"the move {by} of {said} names the unknown state {state}",
                f"states are {', '.join(states)}",
            )
    for state in row["from"]:
        if (state, by) in targets:
            check.add(
                row,
                "by",
                f"{said} moves from {state} by {by} twice",
                "one move leads to one state: remove one or rename it",
            )
        targets[state, by] = to


def _reach(check: Checker, node: Map, said: str, targets: dict[tuple[str, str], str]) -> None:
    """Every state can be come to."""
    reached, before = {node["initial"]}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {to for (state, _), to in targets.items() if state in reached}
    for state in node["states"]:
        if state not in reached:
            check.add(
                node["states"],
                state,
                f"the state {state} of {said} is never reached from {node['initial']}",
                "add a move to it or remove it",
            )
