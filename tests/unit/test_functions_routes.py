"""Routes of HTTP triggers: templates, what they match, and which of several is taken."""

import azure.functions as func
import pytest

from local.functions.app import Function, HostError
from local.functions.http_trigger import Route

GUID = "01234567-89AB-cdef-0123-456789abcdef"


def route(template: str | None, prefix: str = "api", *methods: func.HttpMethod) -> Route:
    return Route(Function("f", print, {"name": "req", "route": template, "methods": methods}, []), prefix)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("a/{x}", "/api/a/b", {"x": "b"}),
        ("a/{x}", "/API/A/B/", {"x": "B"}),
        ("a/{x}", "/api/a//", None),
        ("a/{x}", "/api/a/b/c", None),
        ("a/{x}", "/api/a/b%2fc", {"x": "b%2fc"}),
        ("a.b/{x}", "/api/aXb/c", None),
        ("a b", "/api/a b", {}),
        ("a/{x:int}", "/api/a/-12", {"x": "-12"}),
        ("a/{x:int}", "/api/a/1.5", None),
        ("a/{x:int}", "/api/a/2147483647", {"x": "2147483647"}),
        ("a/{x:int}", "/api/a/2147483648", None),
        ("a/{x:alpha}", "/api/a/Ab", {"x": "Ab"}),
        ("a/{x:alpha}", "/api/a/A1", None),
        ("a/{x:guid}", f"/api/a/{GUID}", {"x": GUID}),
        ("a/{x:guid}", f"/api/a/{GUID.replace('-', '')}", {"x": GUID.replace("-", "")}),
        ("a/{x:guid}", f"/api/a/{GUID[1:]}", None),
        ("a/{x:alpha:int}", "/api/a/1", None),
        ("a/{x:int?}", "/api/a", {}),
        ("a/{x:int?}", "/api/a/b", None),
        ("a/{x?}", "/api/a/b", {"x": "b"}),
        ("{*rest}", "/api/a/b\nc/", {"rest": "a/b\nc/"}),
        ("{**rest}", "/api/a/b", {"rest": "a/b"}),
        ("{*rest}", "/other/a", None),
        (None, "/api/f", {}),
    ],
)
def test_matching(template: str | None, path: str, parameters: dict[str, str] | None) -> None:
    assert route(template).match("GET", path) == parameters


def test_an_empty_prefix_and_the_root() -> None:
    assert route("/", "").match("GET", "/") == {}
    assert route("api/x", "").match("GET", "/api/x") == {}
    assert route("/", "").match("GET", "/x") is None


def test_a_route_serves_its_methods_alone() -> None:
    reading = route("a", "", func.HttpMethod.GET)
    assert reading.match("GET", "/a") == {}
    assert reading.match("POST", "/a") is None
    assert route("a", "").match("POST", "/a") == {}


def test_the_more_specific_route_comes_first() -> None:
    ordered = ["a/stats", "a/stats/{y}", "a/{x:int}", "a/{x}", "a/{x}/b", "{x:alpha}/b", "{*rest}"]
    ranks = {template: route(template, "").rank for template in ordered}
    assert sorted(set(ordered), key=lambda template: ranks[template]) == ordered


@pytest.mark.parametrize(
    "template",
    [
        *("{x:regex(a)}", "{x:datetime}", "{x:length}", "{x:int(3)}", "{x:length(1,2,3)}"),
        *("a{x}", "{x}.{y}", "{*x}/a", "{x?}/a", "{x=1}", "{1x}"),
    ],
)
def test_other_templates_are_refused_by_name(template: str) -> None:
    with pytest.raises(
        HostError, match=r"not supported by the local Functions host: route segment .* \(function f\)"
    ):
        route(template)
