"""Parameters of assignments: which property they override, and the settings of a baseline."""

from __future__ import annotations

import json

import pytest

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.parameters import write_into
from arcbed_agent.gcad.dsc.results import Parameter


def statuses(evaluation):
    return [result.compliance_status for result in evaluation.resources]


@pytest.mark.clause("package.parameters")
def test_parameter_overrides_a_property_whatever_the_case(run, tree):
    tree.file("/b", "B")

    evaluation = run(
        ("TestFile", {"Path": "/a", "Content": "B"}),
        mode="Audit",
        parameters=[Parameter("[testfile]0;PATH", "/b")],
    )

    assert (evaluation.compliance_status, evaluation.warnings) == ("Compliant", [])
    assert evaluation.resources[0].properties["Path"] == "/b"


def test_resource_id_with_semicolons_and_spaces_is_split_at_the_last(run, tree):
    tree.file("/b", "x")
    text = 'instance of TestFile { ResourceID = "Ensure; that it is so"; Path = "/a"; Content = "x"; };'

    evaluation = run(text, mode="Audit", parameters=[Parameter("Ensure; that it is so;Path", "/b")])

    assert evaluation.compliance_status == "Compliant"


def test_parameter_that_cannot_be_written_is_a_warning(run):
    parameter = Parameter("[TestFile]0;Content", "half \ud83d")

    evaluation = run(("TestFile", {"Path": "/a", "Content": "a"}), mode="Audit", parameters=[parameter])

    assert "half a character" in evaluation.warnings[0]


@pytest.mark.parametrize("name", ["[TestFile]9;Path", "[TestFile]0;Nothing", "nonsense", ";"])
def test_parameter_that_names_nothing_is_a_warning(run, name):
    evaluation = run(
        ("TestFile", {"Path": "/a", "Content": "a"}), mode="Audit", parameters=[Parameter(name, "x")]
    )

    assert len(evaluation.warnings) == 1
    assert name in evaluation.warnings[0]


def test_boolean_parameter_given_as_text_works(run, tree):
    tree.unit("cron", active="active", enabled="disabled")

    evaluation = run(
        ("nxService", {"Name": "cron", "Enabled": True}),
        mode="Audit",
        parameters=[Parameter("[nxService]0;Enabled", "False")],
    )

    assert evaluation.compliance_status == "Compliant"


def test_parameters_written_into_the_stored_document_stay_there(tmp_path):
    document = tmp_path / "My.mof"
    document.write_bytes(
        'instance of A as $a { ResourceID = "[A]1"; X = "old"; Y = True; };'.encode("utf-16")
    )
    value = 'a "quoted" \\ path\nand line'

    warnings = write_into(
        document, [Parameter("[a]1;x", value), Parameter("[a]1;y", "false"), Parameter("[B]1;X", "")]
    )

    assert len(warnings) == 1
    (instance,) = mof.read(document)
    assert instance.properties == {"ResourceID": "[A]1", "X": value, "Y": False}
    assert instance.alias == "$a"


def rules(*numbers):
    return [
        (
            "OsConfigResource",
            {
                "ResourceID": f"rule {number}",
                "RuleId": f"id-{number}",
                "PayloadKey": "EnsurePermissionsOnEtcMotd",
                "ComponentName": "SecurityBaseline",
                "ReportedObjectName": "audit",
                "DesiredObjectValue": "644",
            },
        )
        for number in numbers
    ]


def settings_of(*chosen):
    blocks = [{"name": "AzureLinuxBaseline", "version": "1", "settings": list(chosen)}]
    return [Parameter("AzureLinuxBaseline;BaselineSettings", json.dumps({"baselineSettings": blocks}))]


def test_baseline_settings_choose_rules_and_give_values(run, tree):
    tree.file("/etc/motd", mode=0o600)

    evaluation = run(
        *rules(1, 2, 3),
        mode="Audit",
        parameters=settings_of({"ruleId": "ID-2", "value": "600"}, {"ruleId": "id-3"}),
    )

    assert [result.resource_id for result in evaluation.resources] == ["rule 2", "rule 3"]
    assert statuses(evaluation) == ["Compliant", "NonCompliant"]


def test_empty_baseline_settings_mean_all_rules(run):
    assert len(run(*rules(1, 2), mode="Audit", parameters=settings_of()).resources) == 2


@pytest.mark.parametrize(
    "value", ["", "nonsense", "[]", '{"baselineSettings": 5}', '{"baselineSettings": [{"settings": 5}]}']
)
def test_broken_baseline_settings_are_a_warning(run, value):
    evaluation = run(
        *rules(1), mode="Audit", parameters=[Parameter("AzureLinuxBaseline;BaselineSettings", value)]
    )

    assert (len(evaluation.resources), len(evaluation.warnings)) == (1, 1)
