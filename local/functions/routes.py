"""Route templates of HTTP triggers, matched as ASP.NET Core does in the real host."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from local.functions.app import Function, unsupported

PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>[A-Za-z_]\w*)(?P<rules>(:[^:{}?=]+)*)(?P<optional>\??)\}")
RULE = re.compile(r":([a-z]+)(?:\((\d+)(?:,\s*(\d+))?\))?")
WHOLE = re.compile("[-+]?[0-9]{1,19}")
GUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)
CONSTRAINTS: dict[str, Callable[..., object]] = {
    "int": lambda text: WHOLE.fullmatch(text) and -(2**31) <= int(text) < 2**31,
    "long": lambda text: WHOLE.fullmatch(text) and -(2**63) <= int(text) < 2**63,
    "bool": lambda text: text.lower() in ("true", "false"),
    "guid": GUID.fullmatch,
    "alpha": re.compile("[A-Za-z]*").fullmatch,
    "length": lambda text, low, high=None: low <= len(text) <= (high or low),
    "minlength": lambda text, low: low <= len(text),
    "maxlength": lambda text, high: len(text) <= high,
}


@dataclass(frozen=True)
class Route:
    """A function's path. Of two that fit, the one of the lower `rank` is the more specific."""

    function: Function
    pattern: re.Pattern[str]
    rules: list[tuple[str, str, list[int]]]  # parameter, constraint, its arguments
    rank: list[int]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the route parameters of a request that this route serves."""
        methods = [allowed.value for allowed in self.function.trigger.get("methods", ())]
        found = self.pattern.fullmatch(path) if not methods or method in methods else None
        values = {name: value for name, value in found.groupdict().items() if value} if found else {}
        checks = (
            CONSTRAINTS[rule](values[name], *given) for name, rule, given in self.rules if name in values
        )
        return values if found and all(checks) else None


def route_of(function: Function, prefix: str) -> Route:
    """Read the route of an HTTP trigger: literals, `{x}`, `{x:rule}`, and at the end `{x?}` or `{*x}`."""
    pattern, rules, rank = "", [], []
    for segment in f"{prefix}/{function.trigger.get('route') or function.name}".split("/"):
        found = PARAMETER.fullmatch(segment)
        if (segment and pattern.endswith("?")) or (not found and "{" in segment):
            raise unsupported(f"route segment {segment}", function.name)
        if not found:
            pattern += f"/{re.escape(segment)}" if segment else ""
            rank += [0] if segment else []
            continue
        for rule in re.findall(":[^:]+", found["rules"]):
            parts = RULE.fullmatch(rule)
            numbers = [int(number) for number in parts.groups()[1:] if number] if parts else []
            try:
                assert parts
                CONSTRAINTS[parts[1]]("", *numbers)
            except (AssertionError, KeyError, TypeError):  # unknown, or known with other arguments
                raise unsupported(f"route segment {segment}", function.name) from None
            rules.append((found["name"], parts[1], numbers))
        value = ".*" if found["all"] else "[^/]+"
        pattern += f"(?:/(?P<{found['name']}>{value}))" + "?" * bool(found["all"] or found["optional"])
        rank.append((5 if found["all"] else 3) - bool(found["rules"]))
    return Route(function, re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL), rules, rank)
