"""Queries within one partition: parsed with lark, translated to SQL over the stored JSON.

SQL's three-valued logic is Cosmos's if NULL stands for undefined: AND, OR and NOT carry over as they
are, and a comparison is a CASE that is NULL where the kinds of its two sides differ.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from local.cosmos.documents import parse_json
from local.cosmos.errors import CosmosError, not_supported

PARSER = Lark(Path(__file__).with_suffix(".lark").read_text(), parser="lalr", start="query")
NOT_SUPPORTED = re.compile(
    r"(array|distinct|exists|group\s+by|in|join|like|select|udf|undefined)\b|[-+*/%|&^~?]+|[\[{]",
    re.IGNORECASE,
)
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
# Their order is that of ORDER BY across kinds; kind 0 is undefined.
KINDS = {"null": 1, "true": 2, "false": 2, "integer": 3, "real": 3, "text": 4, "array": 5, "object": 6}
KIND_CASES = " ".join(f"WHEN '{name}' THEN {kind}" for name, kind in KINDS.items())


@dataclass
class Query:
    """SQL over `items.body`; a condition is 1, 0 or NULL (undefined)."""

    columns: dict[str | None, str] = field(default_factory=lambda: {None: "body"})  # None: the row itself
    where: str = "1"
    sort_keys: list[str] = field(default_factory=list)
    descending: bool = False
    offset: int = 0
    limit: int | None = None
    bound: dict[str, Any] = field(default_factory=dict)


class Property(NamedTuple):
    """A path into the document."""

    steps: tuple[str | int, ...]
    literal: str  # the JSON path as an SQL literal
    kind: str  # SQL of the number in `KINDS`
    value: str  # SQL of the value: never NULL, comparable within a kind

    def when(self, kind: int, test: str) -> str:
        """SQL of a test that is undefined for other kinds."""
        return f"CASE WHEN {self.kind} = {kind} THEN {test} END"


class _Translator:
    """Walks the syntax tree; an operand is a tree (path, call, condition) or the token of a constant."""

    def __init__(
        self, tree: Tree[Token], parameters: dict[str, Any], is_indexed: Callable[[str], bool]
    ) -> None:
        self.parameters = parameters
        self.is_indexed = is_indexed
        source, alias = next(tree.find_data("from_clause")).children
        self.root = str(alias or source)
        self.query = Query()
        for clause in tree.children:
            self.add(clause)

    def add(self, clause: Any) -> None:
        query = self.query
        match clause:
            case Tree("select_value", [path]):
                query.columns = {None: f"body -> {self.path(path).literal}"}
                query.where = f"{self.path(path).kind} <> 0"  # a row that is undefined is none
            case Tree("columns", columns):
                query.columns = {}
                for operand, alias in (column.children for column in columns):
                    path = self.path(operand)
                    name = alias or (path.steps or (self.root,))[-1]
                    if not isinstance(name, str) or name in query.columns:
                        raise CosmosError(400, f"A column needs a name (AS) of its own, not {name}.")
                    query.columns[str(name)] = f"body -> {path.literal}"
            case Tree("where", [condition]):
                query.where += f" AND {self.condition(condition)}"
            case Tree("order_by", [Tree("sort_key", [operand, direction])]):
                path = self.path(operand)
                if not path.steps or not self.is_indexed("".join(f"/{step}" for step in path.steps)):
                    message = "The index path corresponding to the specified order-by item is excluded."
                    raise CosmosError(400, message)
                query.sort_keys = [path.kind, path.value]
                query.descending = str(direction).upper() == "DESC"
            case Tree("order_by"):
                raise not_supported("ORDER BY of several properties")
            case Tree("top" | "offset_limit", counts):
                values = [self.constant(count) for count in counts]
                if query.limit is not None or any(type(value) is not int or value < 0 for value in values):
                    raise CosmosError(400, "TOP or OFFSET LIMIT, not both, takes numbers from 0.")
                query.offset, query.limit = sum(values[:-1]), values[-1]

    def path(self, operand: Any) -> Property:
        match operand:
            case Tree("path", [root, *tokens]):
                if root != self.root:
                    raise CosmosError(400, f"Identifier '{root}' could not be resolved.")
                steps = tuple(_step(token) for token in tokens)
                pieces = "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in steps)
                literal = "'$" + pieces.replace("'", "''") + "'"
                kind = f"CASE json_type(body, {literal}) {KIND_CASES} ELSE 0 END"
                return Property(steps, literal, kind, f"ifnull(json_extract(body, {literal}), 0)")
            case Tree("call", [name, *_]):
                raise not_supported(str(name).upper())
        raise not_supported("an expression where a property is due")

    def constant(self, operand: Any) -> Any:
        match operand:
            case Token("PARAMETER"):
                if operand not in self.parameters:
                    raise CosmosError(400, f"The parameter {operand} has no value.")
                return self.parameters[operand]
            case Token("STRING"):
                return _unquote(operand)
            case Token():
                return parse_json(operand.lower())
        raise not_supported("comparing anything but a property with a constant")

    def bind(self, value: Any) -> str:
        name = f"constant{len(self.query.bound)}"
        self.query.bound[name] = 0 if value is None else value  # the value of every null is 0
        return f":{name}"

    def condition(self, operand: Any) -> str:
        match operand:
            case Tree("or_" | "and_" as operator, [left, right]):
                return f"({self.condition(left)} {operator.strip('_')} {self.condition(right)})"
            case Tree("not_", [negated]):
                return f"(NOT {self.condition(negated)})"
            case Tree("comparison", [left, operator, right]):
                return self.comparison(left, operator, right)
            case Tree("in_list", [subject, negation, *choices]):
                path, values = self.path(subject), [self.constant(choice) for choice in choices]
                if len({_kind(value) for value in values}) > 1:
                    raise not_supported("IN with values of different kinds")
                bound = ", ".join(map(self.bind, values))
                return path.when(_kind(values[0]), f"{path.value} {negation or ''} IN ({bound})")
            case Tree("between", [subject, negation, low, high]):
                both = f"{self.comparison(subject, '>=', low)} AND {self.comparison(subject, '<=', high)}"
                return f"({negation or ''} ({both}))"
            case Tree("call", [name, *arguments]):
                return self.call(str(name).upper(), arguments)
            case Token():
                value = self.constant(operand)
                return str(int(value)) if isinstance(value, bool) else "NULL"
        path = self.path(operand)
        return f"CASE json_type(body, {path.literal}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"

    def comparison(self, left: Any, operator: Any, right: Any) -> str:
        if isinstance(left, Token):
            left, right, operator = right, left, MIRRORED.get(operator, operator)
        path, value = self.path(left), self.constant(right)
        return path.when(_kind(value), f"{path.value} {operator} {self.bind(value)}")

    def call(self, name: str, arguments: list[Any]) -> str:
        match name, arguments:
            case "IS_DEFINED", [subject]:
                return f"({self.path(subject).kind} <> 0)"
            case "IS_NULL", [subject]:
                return f"({self.path(subject).kind} = 1)"
            case "STARTSWITH", [subject, start]:
                path, prefix = self.path(subject), self.constant(start)
                if isinstance(prefix, str):
                    beginning = f"substr({path.value}, 1, {len(prefix)})"
                    return path.when(_kind(prefix), f"{beginning} = {self.bind(prefix)}")
        raise not_supported(f"{name} with these arguments")


def _kind(constant: Any) -> int:
    kinds = {type(None): 1, bool: 2, int: 3, float: 3, str: 4}
    if type(constant) not in kinds:
        raise not_supported("comparing with an array or object")
    return kinds[type(constant)]


def _step(token: Any) -> str | int:
    if token.type == "INDEX":
        return int(token)
    name = _unquote(token) if token.type == "STRING" else str(token)
    if re.search(r'["\\\x00-\x1f]', name):
        raise not_supported(f"the property name {name!r} in a query")
    return name


def _unquote(literal: str) -> str:
    """Return the text of a literal in either kind of quotes; its escapes are JSON's."""
    inner = re.sub(r'\\.|"', lambda match: {"\\'": "'", '"': '\\"'}.get(match[0], match[0]), literal[1:-1])
    return str(parse_json(f'"{inner}"'))


def translate(text: str, parameters: dict[str, Any], is_indexed: Callable[[str], bool]) -> Query:
    """Translate a query with its parameters' values by name (`@name`).

    `is_indexed` tells whether a path such as `/bpm` may be ordered by. A query that is wrong, or not
    supported, is a CosmosError with status 400.
    """
    try:
        tree = PARSER.parse(text)
    except UnexpectedInput as error:
        is_at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        rest = "" if is_at_end else text[error.pos_in_stream or 0 :]
        if known := NOT_SUPPORTED.match(rest):
            raise not_supported(known[0].upper()) from error
        raise CosmosError(400, f"Syntax error, incorrect syntax near '{rest[:20]}'.") from error
    return _Translator(tree, parameters, is_indexed).query
