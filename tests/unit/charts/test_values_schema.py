"""The schema of the chart's values: made from models, explained by values.yaml."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from charts.values.comments import descriptions
from charts.values.schema import UnexplainedError, values_schema
from jsonschema import Draft202012Validator
from tests.support.chart import CHART, VARIANTS, every_variant

TEXT = (CHART / "values.yaml").read_text()
SCHEMA = values_schema(descriptions(TEXT))


def problems(values: dict[str, Any]) -> list[str]:
    """What the schema says against values, by the path of what is wrong."""
    found = Draft202012Validator(SCHEMA).iter_errors(values)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def test_explanations_are_the_comments_above_a_value() -> None:
    text = """\
# About the file.

# Not an explanation.
# -- The first
# of two lines.
first: 1
plain: 2
part:
  # -- Inside.
  inner: {}

  # -- Lost, for there is a line between.

  other: ""
"""
    assert descriptions(text) == {"first": "The first of two lines.", "part.inner": "Inside."}


def test_values_are_explained_where_they_stand() -> None:
    properties = SCHEMA["properties"]
    tags = [properties["operator"], properties["rabbitmq"]["properties"]["embedded"]]
    texts = [each["properties"]["image"]["properties"]["tag"]["description"] for each in tags]
    assert texts == [
        "Tag. Empty: the chart's appVersion.",
        "At least 4.3: priorities of quorum queues are strict from there on.",
    ]
    # A pool's are those of agentDefaults.
    pool = properties["agents"]["additionalProperties"]["anyOf"][0]["properties"]
    concurrency = properties["agentDefaults"]["properties"]["concurrency"]
    assert pool["concurrency"] == concurrency
    assert "pool" in pool["type"]["description"]


def test_a_value_that_nobody_explains_is_an_error() -> None:
    explained = descriptions(TEXT)
    del explained["operator.heartbeatSeconds"]
    with pytest.raises(UnexplainedError, match=r"operator\.heartbeatSeconds is explained"):
        values_schema(explained)


def test_every_part_is_described_and_closed() -> None:
    def walk(node: Any, path: str) -> Iterator[str]:
        for name, inner in node.get("properties", {}).items():
            if "description" not in inner:
                yield f"{path}{name}"
            yield from walk(inner, f"{path}{name}.")
        if "properties" in node and node.get("additionalProperties") is not False:
            yield f"{path} takes any name"

    assert list(walk(SCHEMA, "")) == []
    assert [name for part in SCHEMA["$defs"].values() for name in walk(part, "")] == []


def test_the_file_in_the_chart_is_the_generated_one() -> None:
    assert json.loads((CHART / "values.schema.json").read_text()) == SCHEMA


def test_the_defaults_fit() -> None:
    assert problems(yaml.safe_load(TEXT)) == []


@every_variant
def test_the_variants_fit(variant: str) -> None:
    assert problems(VARIANTS[variant]) == []


def test_what_is_wrong_is_named() -> None:
    for values, named in (
        ({"networkPolicy": {"enabeld": True}}, "networkPolicy: .*enabeld"),
        ({"monitoring": {"interval": 30}}, "monitoring.interval: 30 is not of type 'string'"),
        ({"operator": {"replicas": 0}}, "operator.replicas: 0"),
        ({"operator": {"replicas": "2"}}, "operator.replicas: '2'"),
        ({"api": {"httpRoute": {"hostnames": ["a b"]}}}, "api.httpRoute.hostnames.0: 'a b'"),
        (
            {"networkPolicy": {"api": {"from": [{"podSelektor": {}}]}}},
            r"networkPolicy.api.from.0: .*podSelektor",
        ),
        ({"networkPolicy": {"dns": {"ports": ["dns"]}}}, "networkPolicy.dns.ports.0: 'dns'"),
    ):
        (problem,) = problems(values)
        assert re.search(named, problem), problem
