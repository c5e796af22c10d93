"""python -m gen [--schemas DIR] build --out DIR [--list]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import emit_c, emit_service, meta
from .loader import Problem
from .model import Project


def build_files(project: Project) -> dict[str, str]:
    """What the build tree gets, by path."""
    return emit_c.files(project) | emit_service.files(project)


def write(folder: Path, files: dict[str, str]) -> None:
    """Writes what differs, so that nothing is compiled without need."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(prog="gen", description=__doc__)
    parser.add_argument("--schemas", type=Path, default=Path(__file__).parents[1])
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="write what the C build needs")
    build.add_argument("--out", type=Path, required=True)
    build.add_argument("--list", action="store_true", help="print the files")
    options = parser.parse_args()
    try:
        project = meta.read(options.schemas)
        files = build_files(project)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    write(options.out, files)
    if options.list:
        print("\n".join(str(options.out / name) for name in sorted(files)))
    return 0


sys.exit(main())
