"""The SSH posture: what sshd reports against what is desired, and what is written to correct it."""

from __future__ import annotations

import pytest
from baseline_rules import rule

from arcbed_agent.gcad.dsc.baseline import sshd

#: What `sshd -T` prints on a machine that meets every rule with its default.
GOOD = """port 22
ignorerhosts yes
loglevel INFO
maxauthtries 4
logingracetime 60
clientalivecountmax 0
clientaliveinterval 3600
hostbasedauthentication no
permitrootlogin no
permitemptypasswords no
permituserenvironment no
ciphers aes128-ctr,aes192-ctr,aes256-ctr
macs hmac-sha2-512,hmac-sha2-256
banner /etc/azsec/banner.txt
allowusers *@*
denyusers root
allowgroups *
denygroups root
"""
#: For each rule about an option a line that does not meet it.
BAD = {
    "SshBestPracticeIgnoreRhosts": "ignorerhosts no",
    "SshLogLevelIsSet": "loglevel DEBUG",
    "SshMaxAuthTriesIsSet": "maxauthtries 7",
    "AllowUsersIsConfigured": "allowusers ann",
    "DenyUsersIsConfigured": "denyusers eve",
    "AllowGroupsIsConfigured": "allowgroups staff",
    "DenyGroupsConfigured": "denygroups staff",
    "SshHostbasedAuthenticationIsDisabled": "hostbasedauthentication yes",
    "SshPermitRootLoginIsDisabled": "permitrootlogin prohibit-password",
    "SshPermitEmptyPasswordsIsDisabled": "permitemptypasswords yes",
    "SshClientIntervalCountMaxIsConfigured": "clientalivecountmax 3",
    "SshClientAliveIntervalIsConfigured": "clientaliveinterval 0",
    "SshLoginGraceTimeIsSet": "logingracetime 120",
    "OnlyApprovedMacAlgorithmsAreUsed": "macs hmac-sha1,hmac-sha2-256",
    "UsersCannotSetSshEnvironmentOptions": "permituserenvironment yes",
    "AppropriateCiphersForSsh": "ciphers aes128-ctr,aes192-ctr",
    "SshPortIsConfigured": "port 2222",
    "SshWarningBannerIsEnabled": "banner none",
}


@pytest.fixture
def server(tree):
    """A tree with sshd running; call it with what `sshd -T` prints."""

    def running(printed=GOOD, config="Protocol 2\n"):
        tree.file("/etc/ssh/sshd_config", config, 0o600).file("/etc/azsec/banner.txt", "Keep out").unit("ssh")
        return tree.prints("sshd", "-T", out=printed)

    return running


def ssh_rule(key, desired=""):
    return rule(key, desired)


def replaced(line):
    name = line.split()[0]
    return "".join(f"{line}\n" if one.split()[0] == name else f"{one}\n" for one in GOOD.splitlines())


@pytest.mark.parametrize("key", sorted(sshd.KEYS))
def test_rule_passes_with_its_default_on_a_good_server(audit, server, key):
    server()

    assert audit("OsConfigResource", **ssh_rule(key)).compliance_status == "Compliant"


@pytest.mark.parametrize(("key", "line"), sorted(BAD.items()))
def test_rule_fails_on_a_server_that_does_not_meet_it(audit, server, key, line):
    server(replaced(line))

    result = audit("OsConfigResource", **ssh_rule(key))

    assert result.compliance_status == "NonCompliant"
    assert line.split()[0] in result.reasons[0].phrase


def test_every_option_has_a_failing_line():
    assert set(BAD) == sshd.KEYS - {sshd.PERMISSIONS, sshd.PROTOCOL}


@pytest.mark.parametrize("key", sorted(sshd.OPTIONS))
def test_option_that_sshd_does_not_print_fails(audit, server, key):
    server("")

    result = audit("OsConfigResource", **ssh_rule(key))

    assert "not found in SSH Server response" in result.reasons[0].phrase


@pytest.mark.clause("baseline.ssh-without-server")
@pytest.mark.parametrize("key", sorted(sshd.KEYS))
def test_machine_without_a_running_server_passes_and_says_so(audit, tree, key):
    tree.file("/etc/ssh/sshd_config", "", 0o600)

    result = audit("OsConfigResource", **ssh_rule(key))

    assert result.compliance_status == "Compliant"
    if key != sshd.PERMISSIONS:
        assert result.reasons[0].phrase == sshd.NOTHING


def test_mode_of_the_configuration_is_checked_even_without_a_server(audit, tree):
    tree.file("/etc/ssh/sshd_config", "", 0o644)

    assert audit("OsConfigResource", **ssh_rule(sshd.PERMISSIONS, "600")).compliance_status == "NonCompliant"
    assert audit("OsConfigResource", **ssh_rule(sshd.PERMISSIONS, "644")).compliance_status == "Compliant"


def test_parameter_overrides_the_desired_value(run, server):
    from arcbed_agent.gcad.dsc.results import Parameter

    server()
    wanted = ssh_rule("SshPortIsConfigured", "22") | {"ResourceID": "Ensure that the SSH port is configured"}
    parameter = Parameter("Ensure that the SSH port is configured;DesiredObjectValue", "2222")

    evaluation = run(("OsConfigResource", wanted), mode="Audit", parameters=[parameter])

    assert "'port' is set to '22' instead of '2222'" in evaluation.resources[0].reasons[0].phrase


def test_all_of_several_denied_users_must_be_there(audit, server):
    server(replaced("denyusers root eve"))

    assert (
        audit("OsConfigResource", **ssh_rule("DenyUsersIsConfigured", "eve root")).compliance_status
        == "Compliant"
    )
    assert (
        audit("OsConfigResource", **ssh_rule("DenyUsersIsConfigured", "eve mallory")).compliance_status
        == "NonCompliant"
    )


def test_users_on_several_lines_of_the_answer_are_joined(audit, server):
    server(GOOD + "denyusers eve\n")

    assert (
        audit("OsConfigResource", **ssh_rule("DenyUsersIsConfigured", "root eve")).compliance_status
        == "Compliant"
    )


def test_protocol_is_looked_for_in_the_file_and_in_the_engine_s_own(audit, server, tree):
    server(config="# Protocol 2\n")
    assert audit("OsConfigResource", **ssh_rule(sshd.PROTOCOL)).compliance_status == "NonCompliant"

    tree.file(sshd.OWN, "Protocol 2\n")
    assert audit("OsConfigResource", **ssh_rule(sshd.PROTOCOL)).compliance_status == "NonCompliant"

    tree.file("/etc/ssh/sshd_config", f"Include {sshd.OWN}\n")
    assert audit("OsConfigResource", **ssh_rule(sshd.PROTOCOL)).compliance_status == "Compliant"


def test_banner_must_exist(audit, server, tree):
    server()
    tree.gone("/etc/azsec/banner.txt")

    assert (
        "does not exist"
        in audit("OsConfigResource", **ssh_rule("SshWarningBannerIsEnabled")).reasons[0].phrase
    )


def test_correcting_an_option_writes_the_engine_s_file_and_includes_it_first(apply, server, tree):
    server(replaced("maxauthtries 9"), config="MaxAuthTries 9\n")

    apply("OsConfigResource", **ssh_rule("SshMaxAuthTriesIsSet", "6"))
    apply("OsConfigResource", **ssh_rule("SshMaxAuthTriesIsSet", "5"))

    assert tree.path(sshd.OWN).read_text() == "maxauthtries 5\n"
    assert tree.path("/etc/ssh/sshd_config").read_text() == f"Include {sshd.OWN}\nMaxAuthTries 9\n"
    assert ("systemctl", "reload-or-restart", "ssh") in tree.commands.ran


def test_correcting_the_mode_and_the_banner(apply, server, tree):
    server(replaced("banner none"))
    tree.path("/etc/ssh/sshd_config").chmod(0o644)

    assert apply("OsConfigResource", **ssh_rule(sshd.PERMISSIONS, "600")).compliance_status == "Compliant"
    apply("OsConfigResource", **ssh_rule("SshWarningBannerIsEnabled", "Keep out\n"))

    assert tree.path("/etc/azsec/banner.txt").read_text() == "Keep out\n"
    assert f"banner {sshd.BANNER}" in tree.path(sshd.OWN).read_text()


@pytest.mark.parametrize("key", [sshd.PERMISSIONS, "SshMaxAuthTriesIsSet", "SshLoginGraceTimeIsSet"])
def test_desired_value_that_is_no_number_is_a_reason(audit, server, key):
    server()

    result = audit("OsConfigResource", **ssh_rule(key, "many"))

    assert result.reasons[0].code.endswith(":InvalidProperty")
