"""The files fit together: what one asks of another is there, and every name is declared."""

import json
import re

import pytest
from tree_sitter import Node

from tests.infra.bicep import (
    FILES,
    INFRA,
    MAIN,
    Template,
    all_resources,
    has_token,
    name_of,
    template,
    text,
    walk,
)

FUNCTIONS = {
    *("concat", "empty", "environment", "guid", "items", "loadJsonContent", "loadTextContent", "replace"),
    *("resourceGroup", "resourceId", "split", "subscription", "subscriptionResourceId", "tenant", "toLower"),
    *("union", "uniqueString", "utcNow"),
}
DECORATORS = {
    "allowed",
    "batchSize",
    "description",
    "maxLength",
    "maxValue",
    "metadata",
    "minLength",
    "minValue",
}
BY_NAME = pytest.mark.parametrize("file", [template(path) for path in FILES], ids=lambda file: file.path.name)


@BY_NAME
def test_a_module_gets_the_parameters_that_it_has_and_all_that_it_needs(file: Template):
    for use in file.modules:
        module = template(use.path)
        given = set(use.parameters)
        assert given <= module.required | module.optional, f"{use.symbol}: {given - module.required}"
        assert module.required <= given, f"{use.symbol} lacks {module.required - given}"


def test_outputs_that_are_read_exist():
    file = template(MAIN)
    modules = {use.symbol: template(use.path) for use in file.modules}
    read = {
        (found[1], found[2])
        for node in walk(file.root)
        if node.type == "member_expression"
        and (found := re.fullmatch(r"(\w+)!?\.outputs\.(\w+)", text(node)))
    }
    assert len(read) > 30
    for symbol, name in read:
        assert name in modules[symbol].outputs, f"{symbol}.outputs.{name}"


def test_every_module_is_used_and_every_output_of_a_module_read():
    file = template(MAIN)
    assert {use.path for use in file.modules} == set(FILES) - {MAIN}
    source = MAIN.read_text()
    for use in file.modules:
        symbols = [other.symbol for other in file.modules if other.path == use.path]
        for name in template(use.path).outputs:
            assert any(re.search(rf"\b{symbol}!?\.outputs\.{name}\b", source) for symbol in symbols), (
                use.symbol,
                name,
            )


@BY_NAME
def test_every_name_is_declared_and_every_declaration_used(file: Template):
    declared = declarations(file.root)
    used = {text(node) for node in names_in(file.root)}
    assert used <= declared | FUNCTIONS | DECORATORS, used - declared
    kept = {
        name_of(node)
        for node in walk(file.root)
        if node.type in ("parameter_declaration", "variable_declaration")
    }
    assert kept <= used, f"unused: {kept - used}"


def declarations(root: Node) -> set[str]:
    """Return the names that a file declares, of its loops as well."""
    declared = set()
    for node in walk(root):
        if node.type.endswith("_declaration") and node.type != "output_declaration":
            declared.add(name_of(node))
        if node.type == "for_statement":
            declared.add(text(node.named_children[0]))
        if node.type in ("loop_variable", "loop_enumerator"):
            declared.add(text(node))
    return declared


def names_in(root: Node) -> list[Node]:
    """Return where names are used, not declared and not keys of objects."""
    found = []
    for node in walk(root):
        parent = node.parent
        if node.type != "identifier" or parent is None:
            continue
        first = parent.named_children[0] == node
        is_declared = (parent.type.endswith("_declaration") or parent.type == "for_statement") and first
        is_key = parent.type == "object_property" and first and has_token(parent, ":")
        if not is_declared and not is_key and parent.type not in ("loop_variable", "loop_enumerator"):
            found.append(node)
    return found


def test_versions_of_resource_types_are_dates_and_no_previews():
    """The one preview is the only version that there is."""
    for file, resource in all_resources():
        if resource.type.startswith("Microsoft.Graph/"):
            assert resource.version == "v1.0"
        elif resource.type == "Microsoft.Insights/diagnosticSettings":
            assert resource.version == "2021-05-01-preview"
        else:
            assert re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", resource.version), (file.path.name, resource)


def test_the_parameters_file_gives_what_the_deployment_takes():
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    main = template(MAIN)
    assert set(given) == main.required | main.optional
    source = MAIN.read_text()
    for name, entry in given.items():
        found = re.fullmatch(r"\$\{([A-Z_]+)(?:=([^}]+))?\}", entry["value"])
        assert found, entry
        default = re.search(rf"^param {name} \w+ = '?([\w-]*)'?$", source, re.MULTILINE)
        assert (found[2] or "") == (default[1] if default else ""), name


def test_the_month_of_the_budget_is_kept():
    """Azure refuses to change it: the first deployment's is its output, which azd gives to the next ones."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert given["budgetMonth"]["value"] == "${BUDGET_MONTH}"
    assert template(MAIN).outputs["BUDGET_MONTH"].text == "budgetMonth"
    assert "param budgetMonth string = utcNow('yyyy-MM')" in MAIN.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_modules_stay_small(path):
    limit = 300 if path.name in ("main.bicep", "roles.bicep") else 170
    assert len(path.read_text().splitlines()) <= limit


def test_files_that_are_read_into_a_template_exist_and_parse():
    read = {
        (path.parent / name).resolve(): kind
        for path in FILES
        for kind, name in re.findall(r"load(Json|Text)Content\('([^']+)'\)", path.read_text())
    }
    workbook = INFRA / "workbook.json"
    assert {path.name for path in read} == {"cosmos.json", "service_bus.json", workbook.name}
    for path in read:
        if path == workbook and not path.exists():
            pytest.skip("the workbook is not in this tree yet")
        json.loads(path.read_text())


def test_whoever_needs_graph_says_so():
    for path in FILES:
        source = path.read_text()
        assert ("extension microsoftGraphV1" in source) == ("'Microsoft.Graph/" in source), path.name
    assert "microsoftGraphV1" in json.loads((INFRA / "bicepconfig.json").read_text())["extensions"]
