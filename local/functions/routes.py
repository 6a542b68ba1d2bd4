"""Route templates of HTTP triggers, matched as ASP.NET Core does in the real host."""

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass

from local.functions.app import Function, logger, unsupported

CONSTRAINTS = {
    None: r"[^/]+",
    "int": r"[-+]?[0-9]+",
    "alpha": r"[a-z]+",
    "guid": r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}",
}
PARAMETER = re.compile(r"\{(?P<all>\*?)(?P<name>[A-Za-z_]\w*)(?::(?P<constraint>\w+))?(?P<optional>\??)\}")


@dataclass(frozen=True)
class Route:
    """A function's path pattern. `rank` sorts the more specific of two routes first."""

    function: Function
    methods: frozenset[str]
    pattern: re.Pattern[str]
    rank: tuple[int, ...]


def route_of(function: Function, prefix: str) -> Route:
    """Read the route of an HTTP trigger: literals, `{x}`, `{x:int}`, and at the end `{x?}` or `{*x}`."""
    segments = [
        part for part in f"{prefix}/{function.trigger.get('route') or function.name}".split("/") if part
    ]
    pattern, rank = "", []
    for position, segment in enumerate(segments, 1):
        found = PARAMETER.fullmatch(segment)
        if found is None and "{" not in segment:
            pattern += "/" + re.escape(segment)
            rank.append(0)
            continue
        is_open_ended = found and (found["all"] or found["optional"])
        if (
            not found
            or found["constraint"] not in CONSTRAINTS
            or (is_open_ended and position < len(segments))
        ):
            raise unsupported(f"route segment {segment}", function.name)
        value = ".*" if found["all"] else CONSTRAINTS[found["constraint"]]
        pattern += f"(?:/(?P<{found['name']}>{value}))" + ("?" if is_open_ended else "")
        rank.append(3 if found["all"] else 1 if found["constraint"] else 2)
    methods = frozenset(str(method.value) for method in function.trigger.get("methods", ()))
    return Route(function, methods, re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL), tuple(rank))


def find(routes: Iterable[Route], method: str, raw_path: str) -> tuple[Function, dict[str, str]] | None:
    """Return the function that serves a request, and its route parameters.

    A method that a path does not have is not found, as in Azure: it is no 405
    (azure-functions-host issue 10098). An encoded slash stays encoded, and so in its segment.
    """
    parts = re.split("(%2F)", raw_path, flags=re.IGNORECASE)
    path = "".join(part if odd % 2 else urllib.parse.unquote(part) for odd, part in enumerate(parts))
    matches = [
        (route, match)
        for route in routes
        if (not route.methods or method in route.methods) and (match := route.pattern.fullmatch(path))
    ]
    if not matches:
        return None
    route, match = min(matches, key=lambda found: found[0].rank)
    names = sorted(found.function.name for found, _ in matches)
    if route.function.name != names[0]:  # azure-functions-host issue 9876
        logger.warning("%s fits the routes of %s: Azure may take the first of them", path, ", ".join(names))
    return route.function, {name: value for name, value in match.groupdict().items() if value is not None}
