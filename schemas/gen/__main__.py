"""python -m gen [--schemas DIR] COMMAND

build --out DIR [--list]  writes what the C build needs into DIR, and prints the paths with --list
docs                      rewrites the files that are committed: OpenAPI, documentation, .env.example, the lock
check                     fails when one of these differs from the schemas, or when the schemas break what the lock promises"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import emit_c, emit_docs, emit_events, emit_openapi, emit_service, lock, meta, vectors
from .loader import Problem
from .model import Project

REMEDY = "run `make docs` and commit the result"


def build_files(project: Project) -> dict[str, bytes]:
    """What the build tree gets, by path."""
    texts = (
        emit_c.files(project)
        | emit_events.files(project)
        | emit_service.files(project)
        | emit_openapi.files(project)
        | vectors.files(project)
    )
    return {name: text.encode() for name, text in texts.items()} | vectors.seeds(project)


def committed_files(project: Project) -> dict[str, bytes]:
    """What stands in the repository, by path from its root."""
    texts = {
        ".env.example": emit_docs.env_example(project),
        "docs/api/events.md": emit_events.document(project),
        "docs/api/openapi.json": emit_openapi.document(project),
        "docs/api/reference.md": emit_docs.reference(project),
        "docs/configuration.md": emit_docs.configuration(project),
        "docs/errors.md": emit_docs.errors(project),
        "docs/metrics.md": emit_docs.metrics(project),
        "schemas/lock.json": lock.text(lock.make(project)),
    }
    return {name: text.encode() for name, text in texts.items()}


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Writes what differs, so that nothing is compiled without need."""
    for name, data in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def check(schemas: Path, project: Project) -> None:
    """Raises Problem."""
    problems = lock.check(schemas, project)
    for name, data in committed_files(project).items():
        path = schemas.parent / name
        if not path.is_file() or path.read_bytes() != data:
            problems.append(f"{name}: differs from the schemas; {REMEDY}")
    if problems:
        raise Problem(problems)


def docs(schemas: Path, project: Project) -> None:
    """Raises Problem when that would break a promise of the lock."""
    if (schemas / "lock.json").is_file() and (problems := lock.check(schemas, project)):
        raise Problem(problems)
    write(schemas.parent, committed_files(project))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="gen", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schemas", type=Path, default=Path(__file__).parents[1], metavar="DIR")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("build")
    build.add_argument("--out", type=Path, required=True, metavar="DIR")
    build.add_argument("--list", action="store_true")
    commands.add_parser("docs")
    commands.add_parser("check")
    options = parser.parse_args()
    schemas = options.schemas.resolve()
    try:
        project = meta.read(schemas)
        if options.command == "check":
            check(schemas, project)
        elif options.command == "docs":
            docs(schemas, project)
        else:
            files = build_files(project)
            write(options.out, files)
            if options.list:
                print("\n".join(str(options.out / name) for name in sorted(files)))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
