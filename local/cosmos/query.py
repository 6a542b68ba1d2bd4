"""Queries: parsed with lark, translated to SQL over the stored JSON."""

from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree, UnexpectedInput

from local.cosmos import aggregates
from local.cosmos.conditions import Conditions
from local.cosmos.documents import Container, Document
from local.cosmos.errors import CosmosError, not_supported
from local.cosmos.operands import Property, is_path, step_of

PARSER = Lark(Path(__file__).with_suffix(".lark").read_text(), parser="lalr", start=["query", "predicate"])
PLANNED = "PLANNED "  # begins a query that a plan has the SDK send to each range


class Query(Conditions):
    """A query, or with the start symbol `predicate` a condition, as SQL over a container's items.

    Where it is of a plan, its rows are those of one range, to be merged by the SDK with those of others.
    """

    def __init__(self, text: str, parameters: Document, container: Container, start: str = "query") -> None:
        self.is_planned = text.startswith(PLANNED)
        clauses = {clause.data: clause.children for clause in _parse(text.removeprefix(PLANNED), start)}
        source, alias = clauses["from_clause"]
        super().__init__(str(alias or source), parameters, container)
        self.group_by = [self.path(path) for path in clauses.get("group_by", [])]
        self._set_order([key.children for key in clauses.get("order_by", [])])
        (self.top,) = self._counts(clauses.get("top", [None]))
        self.offset, self.limit = self._counts(clauses.get("offset_limit", [None, None]))
        self.where = [self.condition(operand, is_filter=True) for operand in clauses.get("where", [])]
        self.aggregates: list[str] = []
        self.is_value = "select_value" in clauses
        self.columns: dict[str | None, str] = {None: "body"}  # None names the row itself
        if self.is_value:
            column = self._column(clauses["select_value"][0])
            self.columns = {None: column}
            if not self.aggregates:
                self.where.append(f"{column} IS NOT NULL")  # a row that is undefined is none
        elif "columns" in clauses:
            self.columns = self._columns([column.children for column in clauses["columns"]])
        elif self.group_by:
            raise CosmosError(400, "SELECT * can't be used with GROUP BY.")
        self.is_grouped = bool(self.group_by or self.aggregates)
        self.is_streamable = not self.is_grouped and not self.order_by and self.top is self.offset is None
        # What orders the rows and tells one from another.
        self.keys = [key for each in self.order_by or self.group_by for key in (each.kind, each.value)]
        if not self.is_grouped:
            self.keys.append("position")

    def _set_order(self, keys: list[Any]) -> None:
        self.order_by = [self.path(path) for path, _ in keys]
        directions = {str(direction).upper() == "DESC" for _, direction in keys}
        if not all(each.is_indexed for each in self.order_by):
            raise CosmosError(400, "The index path corresponding to the specified order-by item is excluded.")
        if len(directions) > 1 or (keys and self.group_by):
            raise not_supported("ORDER BY in mixed directions, or with GROUP BY")
        if len(keys) > 1 and not self.container.has_composite_index([each.path for each in self.order_by]):
            raise CosmosError(400, "The order by query does not have a corresponding composite index.")
        self.descending = directions == {True}

    def _counts(self, operands: list[Any]) -> list[int | None]:
        counts = [operand and self.constant(operand) for operand in operands]
        if any(count is not None and (type(count) is not int or count < 0) for count in counts):
            raise CosmosError(400, "TOP and OFFSET LIMIT take numbers from 0.")
        return counts

    def _columns(self, named: list[Any]) -> dict[str | None, str]:
        columns: dict[str | None, str] = {}
        for number, (operand, alias) in enumerate(named, 1):
            last = operand.children[-1] if is_path(operand) else None
            name = str(alias or (step_of(last) if last else f"${number}"))
            if name in columns:
                raise CosmosError(400, f"A column needs a name (AS) of its own, not {name}.")
            columns[name] = self._column(operand)
        allowed = {each.json for each in self.group_by}
        plain = {self.path(operand).json for operand, _ in named if is_path(operand)}
        if (self.aggregates or self.group_by) and plain - allowed:
            raise CosmosError(400, "A property in the select list has to be in GROUP BY.")
        return columns

    def _column(self, operand: Any) -> str:
        match operand:
            case Tree("path"):
                return self.path(operand).json
            case Tree("call", [name, argument]) if str(name).upper() in aggregates.NAMES:
                self.aggregates.append(str(name).upper())
                of: Property | None = None if isinstance(argument, Token) else self.path(argument)
                return aggregates.sql(self.aggregates[-1], of, self.is_planned)
        raise not_supported("a column that is neither a property nor an aggregate")


def _parse(text: str, start: str) -> list[Any]:
    try:
        return PARSER.parse(text, start=start).children
    except UnexpectedInput as error:
        rest = text[error.pos_in_stream or 0 :] if error.pos_in_stream != -1 else ""
        raise not_supported(f"{rest!r} in the query {text!r}") from error
