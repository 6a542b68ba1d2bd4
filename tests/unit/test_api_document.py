"""The API document says all that the routes do, and docs/api.md says what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import BaseModel, RootModel

from functions.api import build_api
from functions.api_document import document, to_markdown
from functions.examples import EXAMPLES
from functions.http import Route
from functions.services import Services
from functions.views import Problem
from shared.settings import AppSettings

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def routes() -> list[Route]:
    settings = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    return build_api(Services.build(AppSettings.model_validate(settings))).routes


ROUTES = [route for route in routes() if route.path.startswith("api/")]
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_the_document_is_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_every_route_is_in_the_document():
    documented = {name for name, _ in OPERATIONS}
    assert documented == {f"{route.method} /{route.path.replace(':guid', '')}" for route in ROUTES}
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)


def models_of(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The model, and those that its fields hold."""
    found = {model}
    for field in model.model_fields.values():
        pending = [field.annotation]
        while pending:
            kind = pending.pop()
            pending += getattr(kind, "__args__", ())
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in found:
                found |= models_of(kind)
    return found


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_field_is_in_the_document(route: Route):
    operation = DOCUMENT["paths"]["/" + route.path.replace(":guid", "")][route.method.lower()]
    if route.query:
        wanted = {field.alias for field in route.query.model_fields.values()}
        assert wanted == {found["name"] for found in operation["parameters"] if found["in"] == "query"}
    for model in {route.body, route.model, Problem}:
        if is_model(model):
            for each in models_of(model):
                fields = {field.alias for field in each.model_fields.values()}
                if not issubclass(each, RootModel):
                    assert SCHEMAS[each.__name__]["properties"].keys() == fields


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_is_described(name: str, operation: dict[str, Any]):
    assert operation["summary"]
    assert len(operation["tags"]) == 1
    roles = operation["x-roles"]
    assert operation["security"] == ([{"entra": roles}] if roles else [])
    assert ("401" in operation["responses"]) == ("403" in operation["responses"]) == bool(roles)
    assert "application/problem+json" in operation["responses"]["500"]["content"]
    if body := operation.get("requestBody"):
        assert body["content"]["application/json"]["example"]
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            assert parameter["example"]
    for response in operation["responses"].values():
        for kind, content in response.get("content", {}).items():
            if kind == "application/json" and content["schema"] != {"type": "object"}:
                assert content["example"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_its_schema(name: str):
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    errors = Draft202012Validator(schema).iter_errors(EXAMPLES[name])
    assert [error.message for error in errors] == []


def test_docs_are_up_to_date():
    written = (ROOT / "docs" / "api.md").read_text()
    assert written == to_markdown(DOCUMENT), "python -m functions.api_document > docs/api.md"
