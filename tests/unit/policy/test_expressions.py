"""The language of policy rules: expressions, conditions and fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud.providers.policy import catalogue, fields, rules
from arcbed_cloud.providers.policy.bodies import definition_properties
from arcbed_cloud.providers.policy.expressions import ExpressionError, evaluate, parse
from arcbed_cloud.providers.policy.functions import PLAIN, unique_string

FUNCTIONS = {
    **PLAIN,
    "parameters": lambda name: {"word": "Blue", "list": ["a", "b"]}[name],
    "policy": lambda: {"assignmentId": "/a", "deep": {"list": [1, 2]}},
}
MACHINE = {
    "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines/web-01",
    "name": "web-01",
    "type": "Microsoft.HybridCompute/machines",
    "location": "westeurope",
    "tags": {"Env": "Prod"},
    "identity": {"type": "SystemAssigned"},
    "properties": {"osType": "Linux", "osSku": "Ubuntu 22.04", "parts": [{"size": 1}, {"size": 2}]},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("[[not an expression]", "[not an expression]"),
        ("[ChefInSpec]Resource1;Name", "[ChefInSpec]Resource1;Name"),
        ("['it''s']", "it's"),
        ("[concat('a', 'b', parameters('word'))]", "abBlue"),
        ("[toLower(parameters('word'))]", "blue"),
        ("[equals(toLower('AB'), 'ab')]", True),
        ("[equals('AB', 'ab')]", False),
        ("[policy().assignmentId]", "/a"),
        ("[policy().deep.list[1]]", 2),
        ("[policy()['DEEP'].list[0]]", 1),
        ("[parameters('list')[1]]", "b"),
        ("[if(contains(parameters('list'), 'b'), 'yes', 'no')]", "yes"),
        ("[length(concat(parameters('list'), createArray('c')))]", 3),
        ("[substring('abcdef', 2, 3)]", "cde"),
        ("[split('a,b;c', createArray(',', ';'))]", ["a", "b", "c"]),
        ("[string(createArray(1, 2))]", "[1,2]"),
        ("[base64ToString(base64('ü'))]", "ü"),
        ("[not(empty(''))]", False),
    ],
)
def test_expression_gives_what_azure_documents(text, value):
    assert evaluate(text, FUNCTIONS) == value


@pytest.mark.parametrize(
    ("values", "wanted"),
    [(("test",), "rbgf3xv4ufgzg"), (("hello", "world"), "a7wkljktk6wne"), (("abc",), "cgtzqvhu4i23s")],
)
def test_unique_string_is_that_of_azure(values, wanted):
    assert unique_string(*values) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[concat(]",
        "[concat('a']",
        "[concat('a' 'b')]",
        "['open]",
        "[word]",
        "[f().]",
        "[f()[]",
        "[utcNow()]",
        "[parameters('list')[9]]",
        "[policy().nothing]",
        "[substring('a', 5)]",
        "[toLower(5)]",
        "[toLower()]",
        "[base64ToString('?')]",
        f"[{'f(' * 60}{')' * 60}]",
    ],
)
def test_bad_expression_is_an_error_that_says_why(text):
    with pytest.raises(ExpressionError) as error:
        evaluate(text, FUNCTIONS)
    assert str(error.value)


@given(st.text(alphabet="[]()'.,ab1 \\\"", max_size=30))
def test_any_text_is_an_expression_or_an_error(text):
    try:
        parse(f"[{text}]")
    except ExpressionError as error:
        assert str(error)


@given(st.text(max_size=40))
def test_quoted_text_comes_back_as_it_was(text):
    quoted = text.replace("'", "''")
    assert evaluate(f"['{quoted}']", PLAIN) == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "Microsoft.HybridCompute/machines"),
        ("Name", "web-01"),
        ("location", "westeurope"),
        ("identity.type", "SystemAssigned"),
        ("tags['env']", "Prod"),
        ("tags[env]", "Prod"),
        ("tags.Env", "Prod"),
        ("tags['none']", None),
        ("Microsoft.HybridCompute/imageOffer", "linux"),
        ("microsoft.hybridcompute/machines/osSku", "Ubuntu 22.04"),
        ("Microsoft.HybridCompute/machines/parts[*].size", [1, 2]),
        ("Microsoft.HybridCompute/machines/none[*]", []),
        ("Microsoft.Compute/imagePublisher", None),
        ("Microsoft.Compute/virtualMachines/osProfile.linuxConfiguration", None),
    ],
)
def test_field_finds_what_its_alias_names(field, value):
    assert fields.value(MACHINE, field) == value


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ({"field": "location", "equals": "WestEurope"}, True),
        ({"field": "location", "notEquals": "eastus"}, True),
        ({"field": "tags['none']", "notEquals": "x"}, True),
        ({"field": "tags['none']", "equals": ""}, False),
        ({"field": "Microsoft.HybridCompute/imageOffer", "like": "linux*"}, True),
        ({"field": "Microsoft.HybridCompute/imageOffer", "notLike": "LINUX*"}, False),
        ({"field": "name", "match": "???-##"}, True),
        ({"field": "name", "notMatch": "???-##"}, False),
        ({"field": "location", "in": ["WESTEUROPE", "x"]}, True),
        ({"field": "tags['none']", "notIn": ["x"]}, True),
        ({"field": "tags", "containsKey": "ENV"}, True),
        ({"field": "name", "contains": "EB-0"}, True),
        ({"field": "tags['env']", "exists": "true"}, True),
        ({"field": "tags['none']", "exists": False}, True),
        ({"field": "Microsoft.HybridCompute/machines/parts[*].size", "greater": 0}, True),
        ({"field": "Microsoft.HybridCompute/machines/parts[*].size", "greater": 1}, False),
        ({"value": "[parameters('word')]", "equals": "blue"}, True),
        ({"value": True, "equals": "true"}, True),
        ({"not": {"field": "name", "equals": "web-01"}}, False),
        ({"anyOf": [{"field": "name", "equals": "x"}, {"field": "kind", "exists": "false"}]}, True),
        ({"allOf": [{"field": "name", "equals": "x"}, {"value": "[utcNow()]", "equals": "x"}]}, False),
    ],
)
def test_condition_is_decided_as_azure_documents_it(condition, outcome):
    rules.check(condition)
    assert rules.holds(condition, MACHINE, FUNCTIONS) is outcome


def test_every_builtin_rule_is_one_that_a_client_could_define():
    for document in catalogue.definitions().values():
        definition_properties(document["name"], document["properties"])


def test_catalogue_has_the_counts_of_the_live_definitions():
    found = list(catalogue.definitions().values())
    deploying = [one for one in found if "deployment" in one["properties"]["policyRule"]["then"]["details"]]
    assert (len(found), len(deploying)) == (89, 7)
    arc = [
        one
        for one in found
        if "Microsoft.HybridCompute/machines" in str(one["properties"]["policyRule"]["if"])
    ]
    assert len(arc) == 87
    assert sum("IncludeArcMachines" in one["properties"]["parameters"] for one in found) == 85
    assert (
        len(
            catalogue.initiatives()["be7a78aa-3e10-4153-a5fd-8c6506dbc821"]["properties"]["policyDefinitions"]
        )
        == 29
    )
