"""docs/api.md, made from the API document: `python -m functions.api_document > docs/api.md`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from functions.api import build_api
from functions.document import describe
from functions.services import Services
from shared.settings import AppSettings

SAMPLE = Path(__file__).parent.parent / "local.settings.sample.json"

Json = dict[str, Any]


def document() -> Json:
    """Return the API document of this code."""
    settings = AppSettings.model_validate(json.loads(SAMPLE.read_text())["Values"])
    return describe(build_api(Services.build(settings)).routes)


def to_markdown(api: Json) -> str:
    """Return the document as a page for people."""
    return "\n".join(_lines(api)).rstrip() + "\n"


def _lines(api: Json) -> Iterator[str]:
    yield f"# {api['info']['title']}: the API"
    yield "\n<!-- Made by `python -m functions.api_document > docs/api.md`; a test compares. -->\n"
    yield api["info"]["description"]
    yield "A deployment shows this as a page at `/api/docs`, and as OpenAPI 3.1 at `/api/openapi.json`."
    for tag in api["tags"]:
        yield f"\n## {tag['description']}\n"
        yield "| route | role | |\n|---|---|---|"
        operations = list(_operations(api, tag["name"]))
        for title, operation in operations:
            role = ", ".join(operation["x-roles"]) or "anyone"
            yield f"| [{title}](#{operation['operationId'].lower()}) | {role} | {operation['summary']} |"
        for title, operation in operations:
            yield from _operation(title, operation)
    yield "\n## Problems\n\n| status | |\n|---|---|"
    for status, about in sorted(_problems(api).items()):
        yield f"| {status} | {about} |"
    yield "\n## Records"
    for name, schema in api["components"]["schemas"].items():
        yield from _schema(name, schema)


def _operations(api: Json, tag: str) -> Iterator[tuple[str, Json]]:
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield f"`{method.upper()} {path}`", operation


def _problems(api: Json) -> dict[str, str]:
    return {
        status: response["description"]
        for methods in api["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
    }


def _operation(title: str, operation: Json) -> Iterator[str]:
    yield f'\n### <a id="{operation["operationId"].lower()}"></a>{title}\n'
    yield f"{operation['summary']}.\n\n{operation['description']}"
    if parameters := operation["parameters"]:
        yield "\n| parameter | in | type | |\n|---|---|---|---|"
        for parameter in parameters:
            about = parameter.get("description", "")
            yield f"| `{parameter['name']}` | {parameter['in']} | {_type(parameter['schema'])} | {about} |"
    if body := operation.get("requestBody"):
        yield f"\nBody: {_content(body)}"
    problems = []
    yield "\n| answer | |\n|---|---|"
    for status, response in operation["responses"].items():
        if int(status) >= 400 and "application/problem+json" in response.get("content", {}):
            problems.append(status)
            continue
        answer = _content(response)
        yield f"| {status} | {response['description']}{': ' if answer else ''}{answer} |"
    yield f"\nProblems: {', '.join(problems)}."


def _content(part: Json) -> str:
    return ", ".join(
        f"{_type(content['schema'])} as {media_type}"
        for media_type, content in part.get("content", {}).items()
    )


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f'\n### <a id="{name.lower()}"></a>{name}\n'
    if about := schema.get("description"):
        yield about
    if "enum" in schema:
        yield f"\nOne of {', '.join(f'`{value}`' for value in schema['enum'])}."
    if fields := schema.get("properties"):
        yield "\n| field | type | |\n|---|---|---|"
        for field, found in fields.items():
            yield f"| `{field}` | {_type(found)} | {found.get('description', '')} |"
    for example in schema.get("examples", ()):
        yield f"\n```json\n{json.dumps(example, ensure_ascii=False, indent=2)}\n```"


def _type(schema: Json) -> str:
    """Return a schema in a few words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "value" in schema.get("properties", {}):
        return f"page of {_type(schema['properties']['value']['items'])}"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"object of {_type(values)}"
    return f"{schema.get('type', 'any')}{_range(schema)}"


def _range(schema: Json) -> str:
    signs = (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))
    bounds = [f"{sign} {schema[name]}" for name, sign in signs if name in schema]
    form = f" ({schema['format']})" if "format" in schema else ""
    return form + (f" {', '.join(bounds)}" if bounds else "")


if __name__ == "__main__":
    sys.stdout.write(to_markdown(document()))
