"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Api = Annotated[str, typer.Option(envvar="STEMS_API", help="Address of the deployment.")]
Token = Annotated[str | None, typer.Option(envvar="STEMS_TOKEN", help="Bearer token, if you have one.")]
Scope = Annotated[
    str | None,
    typer.Option(envvar="STEMS_SCOPE", help="Scope to sign in for, if asked: <client id>/.default"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as the API has it.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a stem, or of an audio file.")]
