"""What a migration may do, statement by statement. README.md explains each rule."""

from dataclasses import dataclass, field

import pglast
from pglast import ast, enums

# Evaluated once for all rows that are there, so that a new column with such a default rewrites nothing.
STABLE = ("now", "current_timestamp", "transaction_timestamp", "statement_timestamp")

Alter = enums.AlterTableType
Constr = enums.ConstrType
Object = enums.ObjectType
# What may happen to a table that other programs use, without looking further.
HARMLESS = {
    Alter.AT_DropNotNull,
    Alter.AT_SetStatistics,
    Alter.AT_SetOptions,
    Alter.AT_ResetOptions,
    Alter.AT_SetRelOptions,
    Alter.AT_ResetRelOptions,
    Alter.AT_SetStorage,
    Alter.AT_SetCompression,
}
# Statements that make something new, or change what no program sees.
MAKING = (
    ast.CreateStmt,
    ast.CreateTableAsStmt,
    ast.ViewStmt,
    ast.CreateFunctionStmt,
    ast.CreateTrigStmt,
    ast.CreateSeqStmt,
    ast.CreateEnumStmt,
    ast.CompositeTypeStmt,
    ast.CreateDomainStmt,
    ast.CreateStatsStmt,
    ast.AlterEnumStmt,
    ast.CommentStmt,
    ast.SelectStmt,
    ast.InsertStmt,
)
BACKFILL = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.SelectStmt, ast.DoStmt)
# What dbmate can run outside a transaction and again after it failed half-way.
ALONE = (ast.IndexStmt, ast.DropStmt, ast.DoStmt, ast.AlterTableStmt)


@dataclass
class Known:
    """What the migrations of a service before this one have made and retired."""

    retired: set = field(default_factory=set)
    constraints: dict = field(default_factory=dict)  # (table, name) -> its kind
    unproved: dict = field(default_factory=dict)  # (table, name) -> column that it says is not null
    not_null: set = field(default_factory=set)  # (table, column) that a valid constraint covers


class Rules:
    """Judges the statements of one file; what is wrong is said by refuse."""

    def __init__(self, known, step, alone, refuse):
        self.known, self.step, self.refuse = known, step, refuse
        self.alone = alone  # transaction:false
        self.made = set()  # tables of this file
        self.added = set()  # constraints that this file adds to tables that were there

    # ---- statements ----

    def judge(self, node):
        """A statement of the file itself."""
        self.names(node)
        if self.alone and not (isinstance(node, ALONE)):
            self.refuse(
                "transaction:false is not for this statement",
                "it is for CONCURRENTLY, VALIDATE CONSTRAINT and DO blocks that commit",
            )
        self.one(node)

    def names(self, node):
        """Objects are named without their schema, which is the service's by search_path."""
        for each in self.nodes(node, ast.RangeVar):
            if each.schemaname and each.schemaname not in ("pg_catalog", "information_schema"):
                self.refuse(
                    f"{each.schemaname}.{each.relname} names a schema",
                    "leave it out: a service knows its own alone",
                )

    def one(self, node):
        """One statement, of the file itself or of a DO block in it."""
        special = {
            ast.AlterTableStmt: self.alter,
            ast.IndexStmt: self.index,
            ast.DropStmt: self.drop,
            ast.RenameStmt: self.rename,
            ast.UpdateStmt: self.change,
            ast.DeleteStmt: self.change,
            ast.TruncateStmt: self.truncate,
            ast.GrantStmt: self.grant,
            ast.DoStmt: self.block,
        }
        if self.step == "backfill" and not isinstance(node, (*BACKFILL, ast.AlterTableStmt)):
            self.refuse("a backfill step changes more than rows", "put it into an expand step")
        elif type(node) in special:
            special[type(node)](node)
        elif isinstance(node, ast.LockStmt):
            self.refuse("LOCK TABLE holds up every program", "do without")
        elif not isinstance(node, MAKING):
            self.refuse(
                f"{type(node).__name__} is not known to be safe",
                "do without, or teach it to deploy/migrations/check.py",
            )
        else:
            self.making(node)

    def making(self, node):
        if isinstance(node, ast.CreateStmt):
            table = node.relation.relname
            self.made.add(table)
            for each in node.tableElts or ():
                if isinstance(each, ast.Constraint):
                    self.learn(table, each)
                for inline in getattr(each, "constraints", None) or ():
                    self.learn(table, inline, each.colname)
        elif isinstance(node, ast.CreateTableAsStmt):
            self.made.add(node.into.rel.relname)
        elif isinstance(node, ast.AlterEnumStmt) and node.oldVal:
            self.refuse("a value of a type is renamed", "the previous program knows the old one")

    def found(self, table):
        """Whether the table was there before this file."""
        return table not in self.made

    def index(self, node):
        table = node.relation.relname
        if not self.found(table):
            return
        if not node.concurrent:
            self.refuse(
                f"an index is made on {table} while nobody may write to it",
                "CREATE INDEX CONCURRENTLY, alone in a file with transaction:false",
            )
        elif not self.alone:
            self.refuse(
                "CONCURRENTLY does not work in a transaction", "-- migrate:up transaction:false"
            )
        if node.if_not_exists:
            self.refuse(
                "IF NOT EXISTS takes the invalid index of a failed try for a good one",
                "leave it out, and drop that index by hand",
            )

    def change(self, node):
        table = node.relation.relname
        if not self.found(table):
            return
        if self.step != "backfill":
            self.refuse(f"rows of {table} are changed", "put it into a backfill step")
        elif node.whereClause is None:
            self.refuse(f"all rows of {table} are changed at once", "take them in parts, by WHERE")

    def truncate(self, node):
        for each in node.relations:
            if self.found(each.relname):
                self.refuse(f"{each.relname} is emptied", "DELETE in parts, in a backfill step")

    def grant(self, node):
        if node.is_grant or self.step == "contract" or node.objtype != Object.OBJECT_TABLE:
            return
        for each in node.objects:
            if self.found(each.relname):
                self.refuse(
                    f"rights on {each.relname} are taken from the previous program",
                    "put it into a contract step",
                )

    def rename(self, node):
        relation = node.relation.relname if node.relation else None
        if relation is None or self.found(relation):
            self.refuse(
                f"{relation or 'something'} is renamed, or a part of it",
                "add the new one, move what is in it, and drop the old one a release later",
            )

    # ---- drops ----

    def drop(self, node):
        kind = node.removeType
        if node.behavior == enums.DropBehavior.DROP_CASCADE:
            self.refuse("CASCADE drops what is not named", "name it")
        if node.concurrent and not self.alone:
            self.refuse(
                "CONCURRENTLY does not work in a transaction", "-- migrate:up transaction:false"
            )
        if kind == Object.OBJECT_INDEX and not node.concurrent:
            self.refuse(
                "an index is dropped while nobody may read its table",
                "DROP INDEX CONCURRENTLY, alone in a file with transaction:false",
            )
        for each in node.objects:
            name = ".".join(
                part.sval for part in getattr(each, "objname", None) or self.parts(each)
            )
            if kind != Object.OBJECT_TABLE or self.found(name):
                self.retired(name)

    @staticmethod
    def parts(node):
        if isinstance(node, ast.TypeName):
            return [part for part in node.names if part.sval != "pg_catalog"]
        return [node] if isinstance(node, ast.String) else node

    def retired(self, name):
        """What goes was retired by an earlier file, and this is a contract step."""
        if self.step != "contract":
            self.refuse(
                f"{name} is dropped, and the previous program uses it",
                f"write `-- retires: {name}` here, and drop it in a contract step a release later",
            )
        elif name not in self.known.retired:
            self.refuse(
                f"{name} is dropped, and no earlier migration says that it is retired",
                f"write `-- retires: {name}` in an expand step, a release earlier",
            )

    # ---- tables ----

    def alter(self, node):
        table = node.relation.relname
        if node.objtype != Object.OBJECT_TABLE:
            self.refuse(
                f"ALTER of {table}, which is no table, is not known to be safe",
                "do without, or teach it to deploy/migrations/check.py",
            )
            return
        for command in node.cmds:
            if self.step == "backfill" and command.subtype != Alter.AT_ValidateConstraint:
                self.refuse("a backfill step changes more than rows", "put it into an expand step")
            elif self.alone and command.subtype != Alter.AT_ValidateConstraint:
                self.refuse(
                    "transaction:false is not for this statement", "let it run in a transaction"
                )
            else:
                self.command(table, command)

    def command(self, table, command):
        special = {
            Alter.AT_AddColumn: self.add_column,
            Alter.AT_AddConstraint: self.add_constraint,
            Alter.AT_ValidateConstraint: self.validate,
            Alter.AT_DropConstraint: self.drop_constraint,
            Alter.AT_DropColumn: self.drop_column,
            Alter.AT_SetNotNull: self.set_not_null,
            Alter.AT_ColumnDefault: self.default,
            Alter.AT_AlterColumnType: self.change_type,
        }
        if not self.found(table):
            if command.subtype == Alter.AT_AddConstraint:
                self.learn(table, command.def_)
            return
        if command.subtype in special:
            special[command.subtype](table, command)
        elif command.subtype not in HARMLESS:
            self.refuse(
                f"ALTER TABLE {table} ... ({command.subtype.name}) is not known to be safe",
                "do without, or teach it to deploy/migrations/check.py",
            )

    def add_column(self, table, command):
        column = command.def_
        constraints = column.constraints or ()
        kinds = {each.contype for each in constraints}
        said = f"{table}.{column.colname}"
        if Constr.CONSTR_NOTNULL in kinds and Constr.CONSTR_DEFAULT not in kinds:
            self.refuse(
                f"{said} is NOT NULL without a default: the previous program does not fill it",
                "give it a default, or let it be null",
            )
        if kinds & {Constr.CONSTR_UNIQUE, Constr.CONSTR_PRIMARY}:
            self.refuse(
                f"{said} makes an index while nobody may use {table}",
                "CREATE UNIQUE INDEX CONCURRENTLY in a file of its own",
            )
        if kinds & {Constr.CONSTR_CHECK, Constr.CONSTR_FOREIGN}:
            self.refuse(
                f"{said} brings a constraint for which all of {table} is read under lock",
                "ADD CONSTRAINT ... NOT VALID, and VALIDATE CONSTRAINT in a later file",
            )
        serial = any(
            part.sval in ("serial", "bigserial", "smallserial") for part in column.typeName.names
        )
        if serial or kinds & {Constr.CONSTR_IDENTITY, Constr.CONSTR_GENERATED}:
            self.refuse(f"{said} rewrites all of {table} under lock", "fill it in a backfill step")
        for each in constraints:
            if each.contype == Constr.CONSTR_DEFAULT and self.volatile(each.raw_expr):
                self.refuse(
                    f"the default of {said} may differ from row to row, which rewrites all of {table}",
                    "add the column without, set the default after, and fill it in a backfill step",
                )

    def volatile(self, expression):
        """Calls a function that is not known to have one value for the whole statement."""
        calls = self.nodes(expression, ast.FuncCall)
        return any(each.funcname[-1].sval not in STABLE for each in calls)

    def add_constraint(self, table, command):
        constraint = command.def_
        if constraint.contype in (Constr.CONSTR_CHECK, Constr.CONSTR_FOREIGN):
            if not constraint.skip_validation:
                self.refuse(
                    f"all of {table} is read under lock for {constraint.conname}",
                    "ADD CONSTRAINT ... NOT VALID, and VALIDATE CONSTRAINT in a later file",
                )
            self.learn(table, constraint)
            self.added.add((table, constraint.conname))
        elif not constraint.indexname:
            self.refuse(
                f"{constraint.conname or 'a constraint'} makes an index while nobody may use {table}",
                "CREATE UNIQUE INDEX CONCURRENTLY before, then ADD CONSTRAINT ... USING INDEX",
            )

    def validate(self, table, command):
        name = (table, command.name)
        if name in self.added:
            self.refuse(
                f"{command.name} is validated under the lock by which it was added",
                "VALIDATE CONSTRAINT in a later file",
            )
        column = self.known.unproved.pop(name, None)
        if column:
            self.known.not_null.add((table, column))

    def drop_constraint(self, table, command):
        if self.known.constraints.get((table, command.name)) in ("check", "foreign"):
            return  # what was refused is taken now
        self.retired(f"{table}.{command.name}")

    def drop_column(self, table, command):
        if command.behavior == enums.DropBehavior.DROP_CASCADE:
            self.refuse("CASCADE drops what is not named", "name it")
        self.retired(f"{table}.{command.name}")

    def set_not_null(self, table, command):
        if self.step == "contract" and (table, command.name) in self.known.not_null:
            return
        self.refuse(
            f"{table}.{command.name} becomes NOT NULL: all rows are read under lock, and the previous program may not fill it",
            "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID, validate it later, then this in a contract step",
        )

    def default(self, table, command):
        if command.def_ is None and self.step != "contract":
            self.refuse(
                f"{table}.{command.name} loses its default, which the previous program may rely on",
                "put it into a contract step",
            )

    def change_type(self, table, command):
        self.refuse(
            f"{table}.{command.name} changes its type",
            "add a column of the new type, fill it, and drop the old one a release later",
        )

    def learn(self, table, constraint, column=None):
        """Remember a constraint: of which kind it is, and which column it keeps from being null."""
        kinds = {Constr.CONSTR_CHECK: "check", Constr.CONSTR_FOREIGN: "foreign"}
        name = (table, constraint.conname)
        kind = kinds.get(constraint.contype)
        if kind and column and not constraint.conname:
            name = (table, f"{table}_{column}_{'check' if kind == 'check' else 'fkey'}")
        self.known.constraints[name] = kind or "index"
        test = constraint.raw_expr
        if (
            kind == "check"
            and isinstance(test, ast.NullTest)
            and test.nulltesttype == enums.NullTestType.IS_NOT_NULL
            and isinstance(test.arg, ast.ColumnRef)
        ):
            self.known.unproved[name] = test.arg.fields[-1].sval

    # ---- blocks ----

    def block(self, node):
        """The statements of a DO block are judged as if they stood alone."""
        body = next(each.arg.sval for each in node.args if each.defname == "as")
        tree = pglast.parse_plpgsql(f"DO $check${body}$check$")
        commits = False
        for kind, part in self.steps(tree):
            commits = commits or kind == "PLpgSQL_stmt_commit"
            if kind == "PLpgSQL_stmt_dynexecute":
                self.refuse("EXECUTE hides what it does", "write the statement out")
            elif kind == "PLpgSQL_stmt_execsql":
                for each in pglast.parse_sql(part["sqlstmt"]["PLpgSQL_expr"]["query"]):
                    self.names(each.stmt)
                    self.one(each.stmt)
        if self.alone and not commits:
            self.refuse(
                "a DO block outside a transaction does not COMMIT",
                "commit after each part, or let it run in a transaction",
            )

    def steps(self, tree):
        """(kind, content) of every node of a PL/pgSQL tree."""
        if isinstance(tree, list):
            for each in tree:
                yield from self.steps(each)
        elif isinstance(tree, dict):
            for kind, content in tree.items():
                if kind.startswith("PLpgSQL_"):
                    yield kind, content
                yield from self.steps(content)

    def nodes(self, tree, kind):
        """Every node of a kind in a syntax tree."""
        if isinstance(tree, kind):
            yield tree
        if isinstance(tree, ast.Node):
            for name in tree:
                yield from self.nodes(getattr(tree, name), kind)
        elif isinstance(tree, tuple):
            for each in tree:
                yield from self.nodes(each, kind)
