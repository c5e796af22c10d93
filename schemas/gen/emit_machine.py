"""C and Markdown of state machines."""

from __future__ import annotations

from .emit_c import c_comment, c_str
from .model import Machine


def declaration(one: Machine) -> str:
    """For the service's header: constants of states and moves, and the table's name."""
    states = "".join(
        f"    {one.c.upper()}_IS_{state.upper()}, /* {c_comment(meaning)} */\n"
        for state, meaning in one.states.items()
    )
    moves = "".join(f"    {one.c.upper()}_BY_{by.upper()},\n" for by in one.names())
    return (
        f"/* {c_comment(one.description)} */\n"
        f"enum {{\n{states}}};\nenum {{\n{moves}}};\nextern const souk_machine_t {one.c}_machine;\n"
    )


def definition(one: Machine) -> str:
    """For the service's source: the table."""
    names, states = one.names(), list(one.states)
    rows = ""
    for state in states:
        targets = (one.target(state, by) for by in names)
        row = ", ".join(str(states.index(to)) if to else "-1" for to in targets)
        rows += f"    {row}, /* {state} */\n"
    listed = {"states": states, "moves": names}
    tables = "".join(
        f"static const char *const s_{one.c}_{what}[] = {{{', '.join(map(c_str, values))}}};\n"
        for what, values in listed.items()
    )
    return (
        f"{tables}static const int16_t s_{one.c}_targets[] = {{\n{rows}}};\n"
        f"const souk_machine_t {one.c}_machine = {{.name = {c_str(one.name)}, .states = s_{one.c}_states, .states_count = {len(states)}, "
        f".moves = s_{one.c}_moves, .moves_count = {len(names)}, .initial = {states.index(one.initial)}, .targets = s_{one.c}_targets}};\n"
    )


def rows(one: Machine) -> list[list[str]]:
    """For people: each state, what it means, and where it goes from there."""
    ret = []
    for state, meaning in one.states.items():
        exits = [
            f"{by} -> `{to}`" for by in one.names() if (to := one.target(state, by)) is not None
        ]
        first = " (initial)" if state == one.initial else ""
        ret.append([f"`{state}`{first}", meaning, ", ".join(exits) or "final"])
    return ret


def moves(one: Machine) -> list[list[str]]:
    """The moves that say more of themselves than their name."""
    return [[each.by, each.description] for each in one.moves if each.description]
