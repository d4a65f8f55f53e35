"""The engine: order, modes, reports, what may be changed, and that nothing ends a run."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.engine import evaluate, sets
from arcbed_agent.gcad.dsc.host import LinuxHost


def codes(result):
    return [reason.code for reason in result.reasons]


def statuses(evaluation):
    return [result.compliance_status for result in evaluation.resources]


# -- order -------------------------------------------------------------------------------------------------


def chain(**depends_on):
    """TestFile resources by name, each with what it depends on."""
    return "\n".join(
        mof.write(
            [
                mof.Instance(
                    "TestFile",
                    None,
                    {"ResourceID": f"[TestFile]{name}", "Path": f"/{name}", "Content": name}
                    | ({"DependsOn": [f"[TestFile]{other}" for other in others]} if others else {}),
                )
            ]
        )
        for name, others in depends_on.items()
    )


def order(run, text):
    seen = []
    run(text, on_step=lambda step: seen.append(step) if step.operation == "Resource" else None)
    return "".join(step.resource_id[-1] for step in seen if step.seconds is None)


@pytest.mark.parametrize(
    ("depends_on", "expected"),
    [
        ({"a": "", "b": "", "c": ""}, "abc"),
        ({"a": "b", "b": ""}, "ba"),
        ({"a": "c", "b": "", "c": ""}, "cab"),
        ({"a": "b", "b": "c", "c": ""}, "cba"),
        ({"a": "cb", "b": "", "c": ""}, "cba"),
        ({"a": "bc", "b": "d", "c": "d", "d": ""}, "dbca"),
        ({"a": "", "b": "a", "c": "a", "d": "bc"}, "abcd"),
        ({"d": "bc", "c": "a", "b": "a", "a": ""}, "abcd"),
        ({"a": "", "b": "c", "c": "", "d": "a"}, "acbd"),
        ({"a": "bb", "b": ""}, "ba"),
    ],
)
def test_resources_run_dependencies_first_else_in_the_order_of_the_document(run, depends_on, expected):
    assert order(run, chain(**depends_on)) == expected


@pytest.mark.parametrize("depends_on", [{"a": "a"}, {"a": "b", "b": "c", "c": "a"}])
def test_circle_of_dependencies_fails_the_configuration(run, depends_on):
    evaluation = run(chain(**depends_on))

    assert evaluation.compliance_status == "NonCompliant"
    assert codes(evaluation.resources[0]) == ["DSC:Configuration:CircularDependency"]


def test_unknown_dependency_fails_the_configuration_and_names_it(run):
    (result,) = run(chain(a="x")).resources

    assert codes(result) == ["DSC:Configuration:UnknownDependency"]
    assert "[TestFile]x" in result.reasons[0].phrase


def test_long_chain_of_dependencies_is_not_a_matter_of_the_stack(run):
    names = [f"n{index}" for index in range(3000)]
    text = "\n".join(
        f'instance of Unknown {{ ResourceID = "[U]{name}"; DependsOn = {{"[U]{other}"}}; }};'
        for name, other in itertools.pairwise(names)
    )

    assert len(run(text + f'instance of Unknown {{ ResourceID = "[U]{names[-1]}"; }};').resources) == 3000


def test_dependant_of_a_failed_resource_is_tested_but_not_set(run, tree):
    evaluation = run(
        ("nxUser", {"UserName": "nobody-here"}),
        ("TestFile", {"Path": "/a", "Content": "a", "DependsOn": ["[nxUser]0"]}),
        ("TestFile", {"Path": "/b", "Content": "b"}),
    )

    assert statuses(evaluation) == ["NonCompliant", "NonCompliant", "Compliant"]
    assert not tree.path("/a").exists()


# -- modes -------------------------------------------------------------------------------------------------


@pytest.mark.clause("package.monitored-is-applied-once")
@pytest.mark.parametrize(
    ("mode", "previous", "set_ran"),
    [
        ("Audit", "Pending", False),
        ("Audit", "NonCompliant", False),
        ("ApplyAndMonitor", "Pending", True),
        ("ApplyAndMonitor", "Compliant", False),
        ("ApplyAndMonitor", "NonCompliant", False),
        ("ApplyAndAutoCorrect", "Pending", True),
        ("ApplyAndAutoCorrect", "NonCompliant", True),
        ("ApplyAndAutoCorrect", "Compliant", False),
        ("DeployAndAutoCorrect", "NonCompliant", True),
        ("ApplyOnce", "Pending", True),
        ("ApplyOnce", "Compliant", False),
        ("ApplyOnce", "NonCompliant", False),
        ("something else", "Pending", False),
    ],
)
def test_mode_and_previous_status_decide_whether_set_runs(run, tree, mode, previous, set_ran):
    evaluation = run(("TestFile", {"Path": "/a", "Content": "a"}), mode=mode, previous=previous)

    assert evaluation.applied is set_ran
    assert tree.path("/a").exists() is set_ran
    assert evaluation.compliance_status == ("Compliant" if set_ran else "NonCompliant")


@pytest.mark.clause("package.audit-is-never-applied")
@pytest.mark.parametrize("kind", ["Audit", "other"])
def test_package_of_type_audit_is_never_applied(run, tree, kind):
    evaluation = run(("TestFile", {"Path": "/a", "Content": "a"}), kind=kind)

    assert (evaluation.applied, tree.path("/a").exists()) == (False, False)


def test_package_without_metaconfig_is_never_applied(run, tree, package_folder):
    run(("TestFile", {"Path": "/a", "Content": "a"}), mode="Audit")
    (package_folder / "My.metaconfig.json").unlink()
    assert not sets("ApplyAndAutoCorrect", "Pending", "Audit")


def test_drift_can_be_repaired_at_once(run):
    evaluation = run(("TestFile", {"Path": "/a", "Content": "a"}), previous="Compliant", repair_at_once=True)

    assert (evaluation.applied, evaluation.compliance_status) == (True, "Compliant")


def test_compliant_machine_is_not_set(run, tree):
    tree.file("/a", "a")

    evaluation = run(("TestFile", {"Path": "/a", "Content": "a"}))

    assert (evaluation.applied, evaluation.compliance_status) == (False, "Compliant")


def test_steps_are_told_as_they_start_and_end(run):
    seen = []
    run(("TestFile", {"Path": "/a", "Content": "a"}), on_step=seen.append)

    words = [(step.operation, "start" if step.seconds is None else "end") for step in seen]
    assert words == [
        ("Resource", "start"),
        *((name, moment) for name in ("Test", "Set", "Test", "Get") for moment in ("start", "end")),
        ("Resource", "end"),
    ]


# -- reports -----------------------------------------------------------------------------------------------


def test_every_resource_is_reported_with_reasons_and_what_get_found(run):
    evaluation = run(
        ("TestFile", {"Path": "/a", "Content": "a", "ModuleName": "M", "ConfigurationName": "C"}),
        ("nxPackage", {"Name": "base-files"}),
        ("MSFT_Credential", {}),
        ("OMI_ConfigurationDocument", {"Name": "x"}),
        mode="Audit",
    )

    assert [result.resource_id for result in evaluation.resources] == ["[TestFile]0", "[nxPackage]1"]
    first, second = evaluation.resources
    assert first.properties["ResourceId"] == "[TestFile]0"
    assert (first.properties["ModuleName"], first.properties["ConfigurationName"]) == ("M", "C")
    assert first.properties["Reasons"] == [
        {"Code": "TestFile:TestFile:FileNotExists", "Phrase": "The file '/a' does not exist."}
    ]
    assert [(one.code, one.phrase) for one in second.reasons] == [
        ("DSC::RESOURCE::SUCCESS", "Operation successful.")
    ]
    json.dumps([result.properties for result in evaluation.resources])


@pytest.mark.clause("package.report-is-complete")
def test_unknown_class_is_reported_and_the_rest_still_runs(run):
    evaluation = run(("Foo", {}), ("nxPackage", {"Name": "base-files"}))

    assert statuses(evaluation) == ["NonCompliant", "Compliant"]
    assert codes(evaluation.resources[0]) == ["Foo:Foo:NotSupported"]
    assert not evaluation.applied


def test_missing_and_wrong_properties_are_reasons(run):
    evaluation = run(
        ("nxFile", {}),
        ("nxFile", {"DestinationPath": "relative"}),
        ("nxFile", {"DestinationPath": "/a", "Type": "Pipe"}),
        ("nxFile", {"DestinationPath": "/etc/passwd", "Mode": "rwx"}),
        ("nxFile", {"DestinationPath": "/etc/passwd", "Ensure": "Maybe"}),
        ("nxGroup", {"GroupName": "root", "Members": [1, 2]}),
        mode="Audit",
    )

    assert {codes(result)[0].rpartition(":")[2] for result in evaluation.resources} == {"InvalidProperty"}


def test_broken_document_is_one_result_with_file_line_and_reason(run):
    evaluation = run("instance of A {\n X = ;")

    (result,) = evaluation.resources
    assert (evaluation.compliance_status, codes(result)) == ("NonCompliant", ["DSC:Document:Invalid"])
    assert result.reasons[0].phrase == "My.mof:2:6: expected a value, found ';'"


def test_document_without_resources_is_not_compliant(run):
    (result,) = run('instance of OMI_ConfigurationDocument { Name = "x"; };').resources

    assert codes(result) == ["DSC:Document:Empty"]


def test_document_that_is_gone_is_a_reason(tmp_path, tree):
    evaluation = evaluate(
        tmp_path / "none.mof",
        assignment_type="Audit",
        previous="Pending",
        parameters=[],
        host=tree.host(),
        set_allowed=False,
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )

    assert codes(evaluation.resources[0]) == ["DSC:Document:Unreadable"]


# -- what may be changed -----------------------------------------------------------------------------------


def test_change_of_the_machine_is_refused_unless_allowed(run, tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "arc"
    outside.mkdir(), inside.mkdir()
    resources = [
        ("TestFile", {"Path": str(outside / "a"), "Content": "a"}),
        ("TestFile", {"Path": str(inside / "a"), "Content": "a"}),
        ("nxUser", {"UserName": "arcbed-nobody"}),
        ("nxGroup", {"GroupName": "arcbed-nobody"}),
        ("nxPackage", {"Name": "arcbed-nothing"}),
        ("nxFile", {"DestinationPath": str(outside / "b"), "Contents": "b"}),
        ("nxFile", {"DestinationPath": str(inside / "link" / "b"), "Contents": "b"}),
    ]
    (inside / "link").symlink_to(outside)

    evaluation = run(*resources, host=LinuxHost(writable=[inside]))

    assert statuses(evaluation) == ["NonCompliant", "Compliant", *["NonCompliant"] * 5]
    assert all(
        codes(result)[-1].endswith(":ChangeRefused") for result in evaluation.resources if result.reasons[1:]
    )
    assert list(outside.iterdir()) == []
    assert (inside / "a").read_text() == "a"


def test_change_of_the_machine_is_made_where_allowed(run, tmp_path):
    evaluation = run(
        ("TestFile", {"Path": str(tmp_path / "a"), "Content": "a"}), host=LinuxHost(), set_allowed=True
    )

    assert (evaluation.compliance_status, (tmp_path / "a").read_text()) == ("Compliant", "a")


def test_folder_that_stands_for_a_machine_cannot_be_left_through_a_link(run, tree, tmp_path):
    (tmp_path / "outside").mkdir()
    tree.root.joinpath("way").symlink_to(tmp_path / "outside")

    (result,) = run(("TestFile", {"Path": "/way/a", "Content": "a"}), set_allowed=True).resources

    assert codes(result)[-1] == "TestFile:TestFile:ChangeRefused"
    assert list((tmp_path / "outside").iterdir()) == []
