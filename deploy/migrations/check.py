#!/usr/bin/env python3
"""python deploy/migrations/check.py [FOLDER]: refuses migrations that hold up the services or break the previous program.

It reads the files with PostgreSQL's own parser (pglast), service by service in their order, so that it knows which tables a
migration found and which it made itself. rules.py has the rules, README.md explains them.
"""

import re
import sys
from pathlib import Path

import pglast
from pglast.parser import ParseError
from rules import Known, Rules

FILE_NAME = re.compile(r"(\d{14})_[a-z0-9_]+\.sql")
STEPS = ("expand", "backfill", "contract")
UP = re.compile(r"-- migrate:up( transaction:false)?")
DOWN = re.compile(r"-- migrate:down( transaction:false)?")
STEP = re.compile(r"-- step: (\w+)")
RETIRES = re.compile(r"-- retires: (.+)")


class Migration:
    """One file: its parts, and what is wrong with them."""

    def __init__(self, path, known):
        self.path, self.known = path, known
        self.problems = []
        self.line = 1

    def refuse(self, what, remedy):
        self.problems.append(f"{self.path}:{self.line}: {what}; {remedy}")

    def check(self):
        """Read and judge the file; then the knowledge of the service has grown by it."""
        lines = self.path.read_text().split("\n")
        head = UP.fullmatch(lines[0].rstrip())
        step = STEP.fullmatch(lines[1].rstrip()) if len(lines) > 1 else None
        if not head:
            self.refuse("the first line is no `-- migrate:up`", "begin the file with it")
        self.line = 2
        if not step or step[1] not in STEPS:
            self.refuse(
                "the second line names no step", f"write `-- step: X`, X of {', '.join(STEPS)}"
            )
        downs = [at for at, line in enumerate(lines) if DOWN.fullmatch(line.rstrip())]
        self.line = len(lines)
        if len(downs) != 1:
            self.refuse("there is no one `-- migrate:down`", "say how to take the step back")
        if self.problems:
            return
        retires = self.retires(lines[: downs[0]], step[1])
        rules = Rules(self.known, step[1], bool(head[1]), self.refuse)
        found = self.parse("\n".join(lines[: downs[0]]), 0)
        if head[1] and len(found) > 1:
            self.refuse(
                f"transaction:false with {len(found)} statements",
                "one in a file: several would be one transaction after all",
            )
        for node, self.line in found:
            rules.judge(node)
        if not self.parse("\n".join(lines[downs[0] :]), downs[0]):
            self.line = downs[0] + 1
            self.refuse("`-- migrate:down` says nothing", "say how to take the step back")
        self.known.retired |= retires

    def retires(self, lines, step):
        """What the file says that no program uses any more."""
        names = set()
        for self.line, text in enumerate(lines, 1):
            mark = RETIRES.fullmatch(text.rstrip())
            if mark and step == "contract":
                self.refuse("a contract step retires", "what is retired waits for the next release")
            elif mark:
                names |= {name.strip() for name in mark[1].split(",")}
        return names

    def parse(self, text, first_line):
        """(statement, line) of a part of the file."""
        try:
            found = pglast.parse_sql(text)
        except ParseError as error:
            at = error.args[1] if len(error.args) > 1 else 0
            self.line = first_line + text.count("\n", 0, at) + 1
            self.refuse(f"PostgreSQL cannot read this: {error.args[0]}", "mend the statement")
            return []
        return [(each.stmt, first_line + line_of(each, text)) for each in found]


def line_of(raw, text):
    """Where a statement begins: its text has the comments before it, too."""
    start = raw.stmt_location or 0
    blank = re.match(r"(\s+|--[^\n]*\n|/\*.*?\*/)*", text[start:], re.S)
    return text.count("\n", 0, start + blank.end()) + 1


def check_service(folder):
    """What is wrong with the migrations of one service, in words, and how many there are."""
    known, problems, versions = Known(), [], {}
    files = sorted(path for path in folder.iterdir() if path.suffix == ".sql")
    for path in files:
        match = FILE_NAME.fullmatch(path.name)
        if not match:
            problems.append(f"{path}:1: its name is no YYYYMMDDhhmmss_words.sql; rename it")
            continue
        if match[1] in versions:
            problems.append(
                f"{path}:1: {versions[match[1]]} has the same version; take another second"
            )
        versions[match[1]] = path.name
        migration = Migration(path, known)
        migration.check()
        problems += migration.problems
    return problems, len(files)


def main(argv):
    root = Path(argv[0]) if argv else Path(__file__).resolve().parent
    problems, count = [], 0
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name != "__pycache__":
            found, files = check_service(folder)
            problems, count = problems + found, count + files
    for each in problems:
        print(each)
    print(f"migrations: {count} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
