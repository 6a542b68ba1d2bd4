"""What a query speaks of, in SQL over the stored JSON: properties and constants."""

import re
from typing import Any, NamedTuple

from lark import Token, Tree

from local.cosmos.documents import Container, Document, parse_json
from local.cosmos.errors import CosmosError, not_supported

# Their order is that of ORDER BY across kinds; kind 0 is undefined.
KINDS = {"null": 1, "true": 2, "false": 2, "integer": 3, "real": 3, "text": 4, "array": 5, "object": 6}
KIND_CASES = " ".join(f"WHEN '{name}' THEN {kind}" for name, kind in KINDS.items())
KINDS_OF_CONSTANTS = {type(None): 1, bool: 2, int: 3, float: 3, str: 4}


class Property(NamedTuple):
    """A path into the document."""

    path: str  # as in an indexing policy: /bpm
    json: str  # SQL of its JSON text, NULL if undefined
    kind: str  # SQL of the number in `KINDS`
    value: str  # SQL of its value: never NULL, comparable within a kind
    is_indexed: bool


class Operands:
    """Turns operands of the syntax tree, a tree of a path or the token of a constant, into SQL."""

    def __init__(self, root: str, parameters: Document, container: Container) -> None:
        self.root = root
        self.parameters = parameters
        self.container = container
        self.bound: dict[str, Any] = {}
        self.generated: dict[str, str] = {}  # columns that the container's table has to have
        self.compared: list[Property] = []  # that an index can find
        self.order_by: list[Property] = []
        self.descending = False

    def path(self, operand: Any) -> Property:
        """Return the property that a path names; 400 if it starts at no alias of the container."""
        if not is_path(operand):
            raise not_supported("an expression where a property is due")
        if operand.children[0] != self.root:
            raise CosmosError(400, f"Identifier '{operand.children[0]}' could not be resolved.")
        steps = [step_of(token) for token in operand.children[1:]]
        pieces = "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in steps)
        literal = "'$" + pieces.replace("'", "''") + "'"
        kind = f"CASE json_type(body, {literal}) {KIND_CASES} ELSE 0 END"
        value = f"ifnull(json_extract(body, {literal}), 0)"
        path = "".join(f"/{step}" for step in steps)
        is_indexed = all(isinstance(step, str) for step in steps) and self.container.is_indexed(path)
        if is_indexed:
            names = [f"{part}_{pieces.encode().hex()}" for part in ("kind", "value")]
            self.generated |= zip(names, (kind, value), strict=True)
            kind, value = names
        return Property(path, f"(body -> {literal})", kind, value, is_indexed)

    def constant(self, operand: Any) -> Any:
        """Return the value of a constant or a parameter."""
        match operand:
            case Token("PARAMETER") if operand in self.parameters:
                return self.parameters[operand]
            case Token("PARAMETER"):
                raise CosmosError(400, f"The parameter {operand} has no value.")
            case Token("STRING"):
                return unquote(operand)
            case Token():
                return parse_json(operand.lower())
        raise not_supported("comparing anything but a property with a constant")

    def bind(self, value: Any) -> str:
        """Return SQL of a value, which is bound."""
        name = f"constant{len(self.bound)}"
        self.bound[name] = 0 if value is None else value  # the value of every null is 0
        return f":{name}"


def is_path(operand: Any) -> bool:
    """Tell a path from constants and calls."""
    return isinstance(operand, Tree) and operand.data == "path"


def kind_of(constant: Any) -> int:
    """Return the kind of a value that can be compared."""
    if type(constant) not in KINDS_OF_CONSTANTS:
        raise not_supported("comparing with an array or object")
    return KINDS_OF_CONSTANTS[type(constant)]


def step_of(token: Any) -> str | int:
    """Return the name or index that a part of a path stands for."""
    if token.type == "INDEX":
        return int(token)
    name = unquote(token) if token.type == "STRING" else str(token)
    if re.search(r'["\\\x00-\x1f]', name):
        raise not_supported(f"the property name {name!r} in a query")
    return name


def unquote(literal: str) -> str:
    """Return the text of a literal in either kind of quotes; its escapes are JSON's."""
    inner = re.sub(r'\\.|"', lambda match: {"\\'": "'", '"': '\\"'}.get(match[0], match[0]), literal[1:-1])
    return str(parse_json(f'"{inner}"'))
