"""Route templates of HTTP triggers, matched as ASP.NET Core does in the real host."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from local.functions.app import Function, unsupported

PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>[A-Za-z_]\w*)(?P<rules>(:[^:{}?=]+)*)(?P<optional>\??)\}")
RULE = re.compile(r"([a-z]+)(?:\((\d+)(?:,\s*(\d+))?\))?")
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
    """A function's path pattern. Of two that fit, the one of the lower `rank` is the more specific."""

    function: Function
    methods: list[str]
    pattern: re.Pattern[str]
    checks: list[tuple[str, Callable[[str], object]]]
    rank: list[int]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the route parameters of a request that this route serves."""
        found = self.pattern.fullmatch(path)
        if not found or (self.methods and method not in self.methods):
            return None
        values = {name: value for name, value in found.groupdict().items() if value is not None}
        return values if all(check(values[name]) for name, check in self.checks if name in values) else None


def route_of(function: Function, prefix: str) -> Route:
    """Read the route of an HTTP trigger: literals, `{x}`, `{x:rule}`, and at the end `{x?}` or `{*x}`."""
    pattern, checks, rank = "", [], []
    segments = f"{prefix}/{function.trigger.get('route') or function.name}".split("/")
    for segment in filter(None, segments):
        found = PARAMETER.fullmatch(segment)
        if (not found and "{" in segment) or pattern.endswith("?"):
            raise unsupported(f"route segment {segment}", function.name)
        if not found:
            pattern += "/" + re.escape(segment)
            rank.append(0)
            continue
        rules = found["rules"].split(":")[1:]
        checks += [(found["name"], _check(rule, segment, function.name)) for rule in rules]
        value = ".*" if found["all"] else "[^/]+"
        pattern += f"(?:/(?P<{found['name']}>{value}))" + "?" * bool(found["all"] or found["optional"])
        rank.append((5 if found["all"] else 3) - bool(found["rules"]))
    methods = [method.value for method in function.trigger.get("methods", ())]
    return Route(function, methods, re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL), checks, rank)


def _check(rule: str, segment: str, function: str) -> Callable[[str], object]:
    found = RULE.fullmatch(rule)
    constraint = CONSTRAINTS.get(found[1]) if found else None
    numbers = [int(number) for number in found.groups()[1:] if number] if found else []
    try:
        assert constraint, "unknown"
        constraint("", *numbers)
    except (AssertionError, TypeError):  # unknown, or known with other arguments
        raise unsupported(f"route segment {segment}", function) from None
    return lambda text: constraint(text, *numbers)
