"""Routes of HTTP triggers: templates, what they match, and which of several is taken."""

import azure.functions as func
import pytest

from local.functions.app import Function, HostError
from local.functions.routes import find, route_of


def function(route: str | None, name: str = "f", *methods: func.HttpMethod) -> Function:
    return Function(name, print, {"name": "req", "route": route, "methods": methods}, (), {})


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("a/{x}", "/api/a/b", {"x": "b"}),
        ("a/{x}", "/API/A/B/", {"x": "B"}),
        ("a/{x}", "/api/a//", None),
        ("a/{x}", "/api/a/b/c", None),
        ("a/{x}", "/api/a/b%2fc", {"x": "b%2fc"}),
        ("a/{x}", "/api/a/%252F%25", {"x": "%2F%"}),
        ("a.b/{x}", "/api/aXb/c", None),
        ("a b", "/api/a%20b", {}),
        ("a/{x:int}", "/api/a/-12", {"x": "-12"}),
        ("a/{x:int}", "/api/a/1.5", None),
        ("a/{x:alpha}", "/api/a/Ab", {"x": "Ab"}),
        ("a/{x:alpha}", "/api/a/A1", None),
        (
            "a/{x:guid}",
            "/api/a/01234567-89AB-cdef-0123-456789abcdef",
            {"x": "01234567-89AB-cdef-0123-456789abcdef"},
        ),
        ("a/{x:guid}", "/api/a/01234567", None),
        ("a/{x:int?}", "/api/a", {}),
        ("a/{x?}", "/api/a/b", {"x": "b"}),
        ("{*rest}", "/api/a/b%0Ac/", {"rest": "a/b\nc/"}),
        ("{*rest}", "/other/a", None),
        (None, "/api/f", {}),
    ],
)
def test_matching(template: str | None, path: str, parameters: dict[str, str] | None) -> None:
    found = find([route_of(function(template), "api")], "GET", path)
    assert (found and found[1]) == parameters


def test_an_empty_prefix_and_the_root() -> None:
    routes = [route_of(function("/", "home"), ""), route_of(function("api/x", "x"), "")]
    served = [find(routes, "GET", path) for path in ("/", "/api/x")]
    assert [found and found[0].name for found in served] == ["home", "x"]


def test_the_more_specific_route_is_taken_whatever_the_order() -> None:
    templates = ["{*rest}", "a/{x}", "a/{x:int}", "a/stats", "a/{x}/b", "a/stats/{y}", "a"]
    routes = [route_of(function(template, template), "") for template in templates]
    expected = {
        "/a/stats": "a/stats",
        "/a/1": "a/{x:int}",
        "/a/z": "a/{x}",
        "/a/stats/b": "a/stats/{y}",
        "/a/q/b": "a/{x}/b",
        "/a": "a",
        "/b": "{*rest}",
    }
    for order in (routes, routes[::-1]):
        for path, template in expected.items():
            found = find(order, "GET", path)
            assert found is not None and found[0].name == template


def test_methods_choose_among_equal_paths() -> None:
    reading = route_of(function("a", "reading", func.HttpMethod.GET), "")
    writing = route_of(function("a", "writing", func.HttpMethod.POST), "")
    found = [find([reading, writing], method, "/a") for method in ("GET", "POST", "PUT")]
    assert [one and one[0].name for one in found] == ["reading", "writing", None]


@pytest.mark.parametrize(
    "template", ["{x:length(3)}", "{x:regex}", "a{x}", "{x}.{y}", "{*x}/a", "{x?}/a", "{x=1}"]
)
def test_other_templates_are_refused_by_name(template: str) -> None:
    with pytest.raises(HostError, match=r"route segment .* \(function f\)"):
        route_of(function(template), "api")
