"""What all records of the API share."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A record with camelCase wire names; it keeps fields that this version of the client does not know."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        defer_build=True,  # for the command: most runs need few of the models
        extra="allow",
        frozen=True,
        serialize_by_alias=True,
        ser_json_inf_nan="constants",
        validate_by_alias=True,
        validate_by_name=True,
    )
