"""Makes the client's models from the API document: `python -m tests.client_models`."""

from pathlib import Path
from typing import Any

from datamodel_code_generator import DataModelType, InputFileType, LiteralType, PythonVersion, generate
from datamodel_code_generator.format import Formatter

from functions.api_document import document

MODELS = Path(__file__).parent.parent / "stem_library_client" / "models.py"
HEADER = '''\
"""The API's records; made from its document by `python -m tests.client_models`, never by hand."""

# ruff: noqa'''
KEPT = {
    "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "format", "items",
    "properties", "propertyNames", "required", "type",
}  # fmt: skip
"""What makes a type. Ranges and patterns are the API's to check."""


def models() -> str:
    """Return the module of the models."""
    schemas = {name: _typed(schema) for name, schema in document()["components"]["schemas"].items()}
    code = generate(
        {"openapi": "3.1.0", "info": {}, "paths": {}, "components": {"schemas": schemas}},
        input_file_type=InputFileType.OpenAPI,
        output_model_type=DataModelType.PydanticV2BaseModel,
        target_python_version=PythonVersion.PY_311,
        base_class="stem_library_client.model.Model",
        custom_file_header=HEADER,
        deserialize_default_values=["enum"],
        disable_future_imports=True,
        disable_timestamp=True,
        capitalise_enum_members=True,
        enum_field_as_literal=LiteralType.One,
        no_alias=True,
        snake_case_field=True,
        strict_nullable=True,
        use_annotated=True,
        use_field_description=True,
        use_one_literal_as_default=True,
        use_specialized_enum=True,
        use_schema_description=True,
        use_standard_collections=True,
        use_type_alias=True,
        use_union_operator=True,
        settings_path=MODELS.parent,
        formatters=[Formatter.RUFF_CHECK, Formatter.RUFF_FORMAT],
    )
    return f"{code}\n"


def _typed(schema: Any) -> Any:
    """Return what a schema says of types and meaning."""
    if isinstance(schema, list):
        return [_typed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {name: _typed(value) for name, value in schema.items() if name in KEPT}
    if "properties" in typed:
        typed["properties"] = {name: _typed(value) for name, value in schema["properties"].items()}
        del typed["additionalProperties"]
    if values := schema.get("patternProperties"):
        (typed["additionalProperties"],) = map(_typed, values.values())
    if typed.get("format") == "uuid":
        del typed["format"]
    if typed.get("default") == {} and "$ref" in typed:
        del typed["default"]
    return typed


if __name__ == "__main__":
    MODELS.write_text(models(), encoding="utf-8")
