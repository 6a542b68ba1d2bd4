"""The workbook and the documents go by the names that the code sends; infra deploys the workbook as it is."""

import json
import re
from typing import Any

from tests.conftest import ROOT

NAME = re.compile(r"stem_library\.(?:jobs|library|queue|worker)(?:\.\w+)?\b")
WORKBOOK: dict[str, Any] = json.loads((ROOT / "infra" / "workbook.json").read_text())
QUERIES = [item["content"] for item in WORKBOOK["items"] if item["type"] == 3]


def names_in(text: str) -> set[str]:
    return set(NAME.findall(text))


def test_every_metric_is_shown_and_none_that_is_not_sent():
    sent = names_in((ROOT / "shared" / "instruments.py").read_text())
    assert len(sent) == 11
    assert names_in(" ".join(query["query"] for query in QUERIES)) == sent


def test_every_metric_is_documented():
    sent = names_in((ROOT / "shared" / "instruments.py").read_text())
    assert names_in((ROOT / "docs" / "architecture.md").read_text()) == sent


def test_the_queries_go_by_the_attributes_that_are_set():
    code = [
        *(ROOT / "functions").rglob("*.py"),
        *(ROOT / "shared").rglob("*.py"),
        *(ROOT / "gpu_worker").rglob("*.py"),
    ]
    text = "".join(path.read_text() for path in code)
    for query in QUERIES:
        for attribute in re.findall(r"customDimensions\.(\w+)", query["query"]):
            assert f'{{"{attribute}": ' in text, attribute


def test_every_query_asks_application_insights_in_the_chosen_time():
    assert WORKBOOK["version"] == "Notebook/1.0"
    for query in QUERIES:
        assert (query["queryType"], query["resourceType"]) == (0, "microsoft.insights/components")
        assert query["timeContextFromParameter"] == "TimeRange"
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(set(names)) == len(names)
