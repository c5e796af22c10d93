"""Reads a folder of schemas and makes the model of it. Raises Problem with everything that is wrong."""

from __future__ import annotations

from pathlib import Path

from . import meta_rows
from .check import Checker, Key
from .loader import load
from .meta_method import Services
from .meta_service import Types
from .model import Project

_ROWS = ("errors.yaml", "config.yaml", "metrics.yaml", "types.yaml", "lock_waivers.yaml")


def read(folder: Path) -> Project:
    check = Checker()
    project = Project()
    project.errors = meta_rows.errors(check, load(folder / "errors.yaml"))
    project.settings = meta_rows.settings(check, load(folder / "config.yaml"))
    project.metrics = meta_rows.metrics(check, load(folder / "metrics.yaml"))
    types = Types(check)
    root = load(folder / "types.yaml")
    if check.shape(root, {"types": Key("map", True)}, root.file):
        types.shared = types.read(root, "souk")
    project.types = list(types.shared.values())
    services = Services(check, types, project.errors)
    for path in sorted(folder.glob("*.yaml")):
        if path.name not in _ROWS and (service := services.read(load(path), path.stem)):
            project.services.append(service)
    services.calls(project.services)
    for one in project.types:
        if id(one) not in types.used:
            check.add(
                root["types"], one.name, f"the type {one.name} is never used", "use it or remove it"
            )
    check.finish()
    return project
