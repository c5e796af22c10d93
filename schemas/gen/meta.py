"""Reads a folder of schemas and makes the model of it. Raises Problem with everything that is wrong."""

from __future__ import annotations

from pathlib import Path

from . import meta_auth, meta_events, meta_rows
from .check import Checker, Key
from .loader import Map, load
from .meta_method import Services
from .meta_service import Types
from .model import Project

_ROWS = (
    "errors.yaml",
    "config.yaml",
    "metrics.yaml",
    "roles.yaml",
    "events.yaml",
    "types.yaml",
    "lock_waivers.yaml",
)
_SHARED = ("types", "machines", "methods")  # what the parts of a service have together
_PART = {"part_of": Key("text", True), **{key: Key("map") for key in _SHARED}}


def _absorb(check: Checker, root: Map, part: Map) -> None:
    """Adds the types, machines and methods of SERVICE.PART.yaml to those of SERVICE.yaml."""
    if not check.shape(part, _PART, part.file):
        return
    if part["part_of"] != root.get("service"):
        check.add(
            part,
            "part_of",
            f"{part.file} is part of {part['part_of']}",
            "name the service that its file name begins with",
        )
    for key in _SHARED:
        own = root.setdefault(key, Map(root.file, root.line))
        if not isinstance(own, Map):
            continue  # said when the service is read
        for name in own.absorb(part.get(key, Map(part.file, part.line))):
            check.add(
                part[key], name, f"{name} stands in another file of the service too", "remove one"
            )


def read(folder: Path) -> Project:
    check = Checker()
    project = Project()
    project.errors = meta_rows.errors(check, load(folder / "errors.yaml"))
    project.settings = meta_rows.settings(check, load(folder / "config.yaml"))
    project.metrics = meta_rows.metrics(check, load(folder / "metrics.yaml"))
    meta_auth.roles(check, load(folder / "roles.yaml"), project)
    types = Types(check)
    shared = load(folder / "types.yaml")
    if check.shape(shared, {"types": Key("map", True)}, shared.file):
        types.shared = types.read(shared, "souk")
    project.types = list(types.shared.values())
    services = Services(check, types, project)
    for path in sorted(folder.glob("*.yaml")):
        if path.name in _ROWS:
            continue
        if "." in path.stem:  # a part, read with its service
            if not (folder / f"{path.stem.split('.')[0]}.yaml").is_file():
                part = Map(path.name, 1)
                check.add(part, None, "it is part of no service", "name it SERVICE.PART.yaml")
            continue
        root = load(path)
        for part in sorted(folder.glob(f"{path.stem}.*.yaml")):
            _absorb(check, root, load(part))
        if service := services.read(root, path.stem):
            project.services.append(service)
    services.calls(project.services)
    services.one_source(project.services)
    meta_events.events(check, load(folder / "events.yaml"), types, project)
    for one in project.types:
        if id(one) not in types.used:
            check.add(
                shared["types"],
                one.name,
                f"the type {one.name} is never used",
                "use it or remove it",
            )
    check.finish()
    return project
