"""Reads a folder of schemas and makes the model of it. Raises Problem with everything that is wrong."""

from __future__ import annotations

from pathlib import Path

from . import meta_rows
from .check import Checker
from .loader import load
from .model import Project

ROWS = ("errors.yaml",)


def read(folder: Path) -> Project:
    check = Checker()
    project = Project()
    project.errors = meta_rows.errors(check, load(folder / "errors.yaml"))
    check.finish()
    return project
