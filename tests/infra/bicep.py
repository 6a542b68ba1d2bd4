"""Bicep files as values: what tests ask of parameters, resources, modules and outputs.

Parsed by tree-sitter's grammar, which tells a text from a name, as the other parser on PyPI does not. It does
not know `extension` (of Microsoft Graph) yet, so that one line is blanked before.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

INFRA = Path(__file__).parent.parent.parent / "infra"
MAIN = INFRA / "main.bicep"
FILES = (MAIN, *sorted((INFRA / "modules").glob("*.bicep")))
EXTENSION = re.compile(rb"^extension \w+$", re.MULTILINE)
PARSER = Parser(Language(tree_sitter_bicep.language()))


@dataclass(frozen=True)
class Expression:
    """A value that only a deployment knows; of texts those with something interpolated."""

    text: str
    node: Node = field(compare=False, repr=False)


@dataclass(frozen=True)
class Loop:
    """`[for item in items: body]`."""

    items: Any
    body: Any


@dataclass(frozen=True)
class Resource:
    """A resource; `type` is the whole of a nested one's as well."""

    symbol: str
    type: str
    version: str
    is_existing: bool
    value: Any

    @property
    def body(self) -> dict[str, Any]:
        """Its object, that of each turn of a loop."""
        found: dict[str, Any] = self.value.body if isinstance(self.value, Loop) else self.value
        return found

    @property
    def properties(self) -> dict[str, Any]:
        """Its `properties`."""
        found: dict[str, Any] = self.body["properties"]
        return found


@dataclass(frozen=True)
class Module:
    """A module's use."""

    symbol: str
    path: Path
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A Bicep file."""

    path: Path
    root: Node
    required: frozenset[str]
    optional: frozenset[str]
    variables: dict[str, Any]
    resources: tuple[Resource, ...]
    modules: tuple[Module, ...]
    outputs: dict[str, Any]

    def resource(self, symbol: str) -> Resource:
        """Return the resource of this symbol."""
        return next(resource for resource in self.resources if resource.symbol == symbol)


@cache
def template(path: Path) -> Template:
    """Return the file at `path`."""
    source = EXTENSION.sub(lambda found: b" " * len(found[0]), path.read_bytes())
    root = PARSER.parse(source).root_node
    assert not root.has_error, f"{path.name}: {first_error(root)}"
    required, optional = set(), set()
    variables, outputs = {}, {}
    modules = []
    for node in root.named_children:
        if node.type == "parameter_declaration":
            (optional if has_token(node, "=") else required).add(name_of(node))
        elif node.type == "variable_declaration":
            variables[name_of(node)] = value_of(node.named_children[-1])
        elif node.type == "output_declaration":
            outputs[name_of(node)] = value_of(node.named_children[-1])
        elif node.type == "module_declaration":
            symbol, file, body = node.named_children
            modules.append(
                Module(text(symbol), path.parent / value_of(file), value_of(body).get("params", {}))
            )
    return Template(
        path=path,
        root=root,
        required=frozenset(required),
        optional=frozenset(optional),
        variables=variables,
        resources=tuple(resources_in(root, "", "")),
        modules=tuple(modules),
        outputs=outputs,
    )


def templates() -> list[Template]:
    """Return every file."""
    return [template(path) for path in FILES]


def all_resources() -> list[tuple[Template, Resource]]:
    """Return every resource that is made, with its file."""
    return [
        (file, resource) for file in templates() for resource in file.resources if not resource.is_existing
    ]


def resources_in(parent: Node, parent_type: str, parent_version: str) -> Iterator[Resource]:
    """Yield the resources declared in a file or in another resource, and those in them."""
    for child in parent.named_children:
        node = child.named_children[0] if child.type == "object_property" else child
        if node.type != "resource_declaration":
            continue
        kind, _, version = str(value_of(node.named_children[1])).partition("@")
        kind = f"{parent_type}/{kind}" if parent_type else kind
        version = version or parent_version
        body = node.named_children[-1]
        yield Resource(name_of(node), kind, version, has_token(node, "existing"), value_of(body))
        yield from resources_in(object_of(body), kind, version)


def object_of(node: Node) -> Node:
    """Return the object of a body, which may stand in a condition or a loop."""
    return object_of(node.named_children[-1]) if node.type in ("if_statement", "for_statement") else node


def value_of(node: Node) -> Any:
    """Return an expression as a value, as far as it says one."""
    children = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "object":
            pairs = [child.named_children for child in children if child.type == "object_property"]
            return {key_of(pair[0]): value_of(pair[-1]) for pair in pairs if len(pair) > 1}
        case "array":
            return [value_of(child) for child in children]
        case "string" if not any(child.type == "interpolation" for child in children):
            return re.sub(r"\\(.)", r"\1", text(node)[1:-1])
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "null":
            return None
        case "if_statement":
            return value_of(children[-1])
        case "for_statement":
            return Loop(value_of(children[-2]), value_of(children[-1]))
        case "parenthesized_expression":
            return value_of(children[0])
        case _:
            return Expression(text(node), node)


def key_of(node: Node) -> str:
    """Return the name of a property; an interpolated one as it is written."""
    value = value_of(node)
    return value.text if isinstance(value, Expression) else str(value)


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def walk_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value in a value, with its path."""
    yield path, value
    if isinstance(value, dict):
        for name, part in value.items():
            yield from walk_values(part, f"{path}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from walk_values(part, f"{path}[]")
    elif isinstance(value, Loop):
        yield from walk_values(value.body, f"{path}[]")


def text(node: Node) -> str:
    """Return the node's source."""
    assert node.text is not None
    return node.text.decode()


def name_of(node: Node) -> str:
    """Return the symbol that a declaration declares."""
    return text(next(child for child in node.named_children if child.type == "identifier"))


def has_token(node: Node, token: str) -> bool:
    """Return whether a declaration has this word or sign of its own."""
    return any(child.type == token for child in node.children)


def first_error(root: Node) -> str:
    """Return where the parser gave up."""
    fault = next(node for node in walk(root) if node.is_error or node.is_missing)
    return f"line {fault.start_point.row + 1}: {text(fault)[:80]!r}"
