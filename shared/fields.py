"""What the fields of records may hold: ranges that sound can have, and sizes that a record can carry."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import from_json

from shared.keys import KEY_PATTERN, MusicalKey

MAX_INTEGER = 2**53 - 1
"""The largest number up to which every reader of JSON, and Cosmos DB, keeps integers exact."""
MAX_JSON_TEXT = 8_000_000
"""Characters: notes or beats of some hours."""
MAX_NOTES = 20_000


def _json_text(value: Any) -> str:
    """Turn native JSON, or any JSON text, into the compact JSON text that the wire contract holds."""
    native = from_json(value, allow_inf_nan=False) if isinstance(value, str) else value
    if not isinstance(native, list | dict):
        raise ValueError("must be a JSON array or object, or the text of one")
    return json.dumps(native, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _notes(value: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(value, allow_nan=False)
    if len(text) > MAX_NOTES or r"\u0000" in text:
        raise ValueError(f"must be JSON of at most {MAX_NOTES} characters, without U+0000")
    return value


def _key_name(text: str) -> str:
    return MusicalKey.parse(text).name


_JsonInput = Annotated[str, Field(json_schema_extra={"contentMediaType": "application/json"})]
JsonText = Annotated[
    str,
    BeforeValidator(_json_text, json_schema_input_type=_JsonInput | list[Any] | dict[str, Any]),
    Field(max_length=MAX_JSON_TEXT),
]

KeyName = Annotated[str, Field(pattern=r"^[A-G]#? (major|minor)$", examples=["C# major"])]
KeySpelling = Annotated[
    str,
    AfterValidator(_key_name),
    Field(json_schema_extra={"pattern": KEY_PATTERN}, examples=["C# major", "Db maj", "C♯m", "3B", "8d"]),
]
"""A key in any spelling; kept under its canonical name."""
Camelot = Annotated[str, Field(pattern=r"^(1[0-2]|[1-9])[AB]$", examples=["3B"])]
TimeSignature = Annotated[str, Field(pattern=r"^[1-9][0-9]?/(1|2|4|8|16|32)$", examples=["4/4"])]

Bpm = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Tuning = Annotated[float, Field(ge=300, le=600, allow_inf_nan=False, description="A4 in Hz")]
Component = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
"""Of a vector."""
SwingRatio = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Level = Annotated[float, Field(ge=-1000, le=1.5, allow_inf_nan=False)]
"""dBFS; a reading of 1.5 dB over full scale is beyond what any true-peak meter overshoots by."""
Loudness = Annotated[float, Field(ge=-1000, le=20, allow_inf_nan=False)]
Decibels = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Hertz = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
SampleRate = Annotated[int, Field(ge=1, le=1_000_000)]
Channels = Annotated[int, Field(ge=1, le=1024)]
Version = Annotated[int, Field(ge=1, le=1_000_000)]
Attempt = Annotated[int, Field(ge=1, le=MAX_INTEGER)]

Guid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        to_lower=True,
    ),
    Field(json_schema_extra={"format": "uuid"}, examples=["6f9d0f0e-2f0b-5d43-9c7e-0c9b1d6f5a11"]),
]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""U+0000 ends a text in too many readers, databases among them."""
Uri = Annotated[Text, Field(max_length=2048)]
Name = Annotated[Text, Field(max_length=300)]
Sentence = Annotated[Text, Field(max_length=2000)]
Reasons = Annotated[
    dict[Annotated[Text, Field(max_length=100)], Annotated[Text, Field(max_length=500)]],
    Field(max_length=50),
]
Notes = Annotated[dict[str, Any], AfterValidator(_notes)]
"""Free JSON of a few kilobytes."""
Checkpoints = Annotated[
    dict[Annotated[Text, Field(max_length=100)], Annotated[Text, Field(max_length=MAX_NOTES)]],
    Field(max_length=50),
]
