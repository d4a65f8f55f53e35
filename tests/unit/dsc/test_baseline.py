"""The Linux baseline: every rule on a machine that meets it and on one that does not."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from baseline_cases import CASES
from baseline_rules import ALL_KEYS, rule

from arcbed_agent.gcad.dsc.baseline import sshd
from arcbed_agent.gcad.dsc.baseline.rules import NOT_SUPPORTED, RULES
from arcbed_agent.gcad.dsc.mof import Instance
from arcbed_agent.gcad.dsc.registry import resource
from arcbed_agent.gcad.dsc.resource import ResourceFault

NOW = datetime(2026, 1, 1, tzinfo=UTC)

#: Passes always, as its subject is the log of the original engine.
ALWAYS = {"LoggingLevel"}


def codes(result):
    return [reason.code.partition(":")[0] for reason in result.reasons]


def test_every_key_of_the_baseline_is_decided_or_reported_as_not_supported():
    assert len(ALL_KEYS) == 169
    assert set(ALL_KEYS) == set(RULES) | sshd.KEYS | NOT_SUPPORTED
    assert len(RULES) + len(sshd.KEYS) + len(NOT_SUPPORTED) == 169


def test_every_rule_has_its_two_machines():
    assert set(CASES) | ALWAYS == set(RULES)


@pytest.mark.parametrize("key", sorted(CASES))
def test_rule_passes_on_the_machine_that_meets_it(audit, tree, key):
    CASES[key][0](tree)

    result = audit("OsConfigResource", **rule(key))

    assert (result.compliance_status, codes(result)) == ("Compliant", ["BaselineSettingCompliant"]), (
        result.reasons
    )
    assert result.properties["ReportedObjectValue"].startswith("PASS")


@pytest.mark.parametrize("key", sorted(CASES))
def test_rule_fails_on_the_machine_that_does_not(audit, tree, key):
    CASES[key][1](tree)

    result = audit("OsConfigResource", **rule(key))

    assert (result.compliance_status, codes(result)) == ("NonCompliant", ["BaselineSettingNotCompliant"])
    assert result.reasons[0].phrase
    assert result.reasons[0].code.endswith(f":{{{rule(key)['RuleId']}}}")


@pytest.mark.parametrize("key", sorted(NOT_SUPPORTED | {"SomethingNew"}))
def test_rule_that_is_not_known_is_reported_and_never_passes(audit, key):
    result = audit("OsConfigResource", **rule(key))

    assert (result.compliance_status, result.reasons[0].code) == (
        "NonCompliant",
        "OsConfigResource:OsConfigResource:NotSupported",
    )


def test_missing_file_passes_what_is_about_its_mode(audit, tree):
    assert audit("OsConfigResource", **rule("PermissionsOnEtcMotd")).compliance_status == "Compliant"


def test_desired_value_of_the_document_decides(audit, tree):
    tree.file("/etc/motd", mode=0o600)

    assert audit("OsConfigResource", **rule("PermissionsOnEtcMotd", "600")).compliance_status == "Compliant"
    assert (
        audit("OsConfigResource", **rule("PermissionsOnEtcMotd", "644")).compliance_status == "NonCompliant"
    )


def test_desired_value_that_is_none_is_a_reason(audit, tree):
    tree.file("/etc/motd")

    result = audit("OsConfigResource", **rule("PermissionsOnEtcMotd", "rw"))

    assert result.reasons[0].code == "OsConfigResource:OsConfigResource:InvalidProperty"


def test_several_findings_are_chained_into_one_phrase(audit, tree):
    result = audit("OsConfigResource", **rule("CronServiceIsEnabled"))

    assert "; also " in result.reasons[0].phrase


@pytest.mark.parametrize("missing", ["RuleId", "PayloadKey", "ComponentName", "ReportedObjectName"])
def test_rule_without_what_identifies_it_is_an_error(audit, missing):
    properties = {name: value for name, value in rule("RootGroupExists").items() if name != missing}

    assert audit("OsConfigResource", **properties).reasons[0].code.endswith(":InvalidProperty")


def test_procedure_without_its_value_is_an_error(audit):
    result = audit("OsConfigResource", ProcedureObjectName="p", **rule("RootGroupExists"))

    assert result.reasons[0].code.endswith(":InvalidProperty")


def test_other_components_are_not_evaluated(audit):
    properties = rule("RootGroupExists") | {"ComponentName": "Other"}

    assert audit("OsConfigResource", **properties).reasons[0].code.endswith(":NotSupported")


@pytest.mark.clause("baseline.rules")
def test_whole_baseline_is_reported_rule_by_rule(run):
    evaluation = run(*(("OsConfigResource", rule(key)) for key in ALL_KEYS), mode="Audit")

    assert len(evaluation.resources) == 169
    unsupported = [one for one in evaluation.resources if one.reasons[0].code.endswith(":NotSupported")]
    assert len(unsupported) == len(NOT_SUPPORTED)
    assert all(one.compliance_status == "NonCompliant" for one in unsupported)


# -- the older form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "change", "compliant"),
    [
        ("12.1", lambda tree: None, True),
        ("12.1", lambda tree: tree.path("/etc/passwd").chmod(0o666), False),
        ("24", lambda tree: tree.user("toor", 0), False),
        ("179", lambda tree: tree.unit("snmpd"), False),
    ],
)
def test_rule_of_the_older_baseline_is_the_newer_one(audit, tree, number, change, compliant):
    change(tree)

    result = audit("ASM_LinuxAuditResource", Msid=number, PolicyName="p", BaselineName="OMS.Linux")

    assert (result.compliance_status == "Compliant") is compliant


@pytest.mark.parametrize(("number", "baseline"), [("37", "OMS.Linux"), ("12.1", "OMS.Docker.Linux")])
def test_rule_of_the_older_baseline_that_is_not_mapped_is_never_passed(audit, number, baseline):
    result = audit("ASM_LinuxAuditResource", Msid=number, BaselineName=baseline)

    assert result.reasons[0].code == "ASM_LinuxAuditResource:ASM_LinuxAuditResource:NotSupported"


# -- Set ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "PermissionsOnEtcMotd",
        "PermissionsOnEtcCronD",
        "PermissionsOnBootloaderConfig",
        "PermissionsOnEtcShadow",
    ],
)
def test_mode_of_a_file_is_corrected(apply, tree, key):
    CASES[key][1](tree)

    assert apply("OsConfigResource", **rule(key)).compliance_status == "Compliant"


def test_rule_that_cannot_be_corrected_says_so_beside_its_finding(apply, tree):
    CASES["TcpSynCookiesAreEnabled"][1](tree)

    result = apply("OsConfigResource", **rule("TcpSynCookiesAreEnabled"))

    assert codes(result) == ["BaselineSettingNotCompliant", "OsConfigResource"]


@pytest.mark.parametrize(
    ("key", "ran"),
    [
        ("XinetdNotInstalled", ("apt-get", "xinetd")),
        ("AllTelnetdPackagesUninstalled", ("apt-get", "inetutils-telnetd")),
        ("SnmpServerIsDisabled", ("systemctl", "snmpd")),
        ("BluetoothHiddNotInstalled", ("systemctl", "bluetooth")),
    ],
)
def test_packages_and_units_that_must_not_be_are_removed_and_stopped(tree, key, ran):
    CASES[key][1](tree)
    host = tree.host().for_run(changes_allowed=True, now=NOW)
    host.may_change_machine = lambda _what: None
    found = resource(Instance("OsConfigResource", None, rule(key)), host, tree.root)
    assert not found.test()

    with contextlib.suppress(ResourceFault):  # the recorded machine has no package manager
        found.enforce()

    assert ran in {(words[0], words[-1]) for words in tree.commands.ran if words[1] != "is-active"}


def test_change_of_the_machine_by_a_rule_needs_leave(apply, tree):
    tree.unit("snmpd")

    result = apply("OsConfigResource", **rule("SnmpServerIsDisabled"))

    assert result.reasons[-1].code.endswith(":ChangeRefused")
