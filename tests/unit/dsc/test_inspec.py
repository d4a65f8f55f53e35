"""Profiles of InSpec without Ruby: the built-in ones, the plain form, and never a pass by accident."""

from __future__ import annotations

import pytest

from arcbed_agent.gcad.dsc.families.controls import read_controls

PLAIN = """
# a comment
control 'passwd-1' do
  impact 1.0
  title 'Accounts'
  desc "Some words"
  tag cis: '1.1'
  describe file('/etc/passwd') do
    it { should exist }
    it { should_not be_directory }
    it { should be_owned_by 'root' }
    its('mode') { should cmp '0644' }
    its('owner') { should eq 'root' }
    its('content') { should match(/^root:/) }
    its('content') { should_not match /^\\+/i }
  end
  describe user('daemon') do
    it { should exist }
  end
end
control "software" do
  describe package('base-files') do
    it { should be_installed }
    its('version') { should eq '12' }
  end
  describe service('cron') do
    it { should be_running }
  end
  describe kernel_parameter('net.ipv4.ip_forward') do
    its('value') { should cmp 0 }
  end
end
"""


@pytest.fixture
def profile(run, package_folder, tree):
    """Evaluate a profile of the package; the outcome of each control and the result."""

    def evaluated(text, name="mine"):
        folder = package_folder / "Modules" / name / "controls"
        folder.mkdir(parents=True)
        (folder / "a.rb").write_text(text)
        (result,) = run(("MSFT_ChefInSpecResource", {"Name": name}), mode="Audit").resources
        controls = result.properties["Result"]["controls"]
        return [control["status"] for control in controls], result

    return evaluated


def test_plain_controls_pass_on_a_machine_that_meets_them(profile, tree):
    tree.unit("cron").kernel("net.ipv4.ip_forward", "0")

    statuses, result = profile(PLAIN)

    assert (statuses, result.compliance_status) == (["passed", "passed"], "Compliant")


def test_failing_control_is_told_in_one_reason_with_the_whole_text(profile, tree):
    tree.kernel("net.ipv4.ip_forward", "1")

    statuses, result = profile(PLAIN)

    assert statuses == ["passed", "failed"]
    (reason,) = result.reasons
    assert reason.code == "InSpecPolicyNotCompliant"
    assert "service cron does not be_running" in reason.phrase
    assert "its value is '1'" in reason.phrase
    assert "Test Summary: 1 successful, 1 failures, 0 skipped" in reason.phrase


@pytest.mark.parametrize(
    "body",
    [
        "describe command('ls') do\n its('stdout') { should eq 'x' }\n end",
        "describe file('/etc/passwd') do\n its('sha256sum') { should eq 'x' }\n end",
        "describe file('/etc/passwd') do\n its('mode') { should be > 5 }\n end",
        "describe file('/etc/passwd') do\n it { should exist }\n its('mode') { should cmp expected }\n end",
        "only_if { false }\n describe file('/etc/passwd') do\n it { should exist }\n end",
        "%w(a b).each do |name|\n describe file(name) do\n it { should exist }\n end\n end",
        'describe file("/etc/#{name}") do\n it { should exist }\n end',
        "",
    ],
)
def test_control_in_another_form_is_skipped_and_never_passes(profile, body):
    statuses, result = profile(f"control 'x' do\n{body}\nend\n")

    assert (statuses, result.compliance_status) == (["skipped"], "NonCompliant")


def test_code_before_the_first_control_is_not_passed_over(profile):
    statuses, result = profile(
        "names = attribute('x')\ncontrol 'x' do\n describe user('root') do\n it { should exist }\n end\nend"
    )

    assert (statuses, result.compliance_status) == (["skipped", "passed"], "NonCompliant")


def test_profile_without_controls_is_not_supported(run):
    (result,) = run(("MSFT_ChefInSpecResource", {"Name": "x"}), mode="Audit").resources

    assert result.reasons[0].code.endswith(":NotSupported")


def test_controls_are_read_with_titles():
    first, second = read_controls(PLAIN)

    assert (first.name, first.title, len(first.expectations)) == ("passwd-1", "Accounts", 8)
    assert (second.name, second.problem) == ("software", "")


@pytest.mark.parametrize(
    ("name", "text", "compliant"),
    [
        ("installed_application_linux", "packages: [base-files]", True),
        ("installed_application_linux", "packages: [base-files; powershell]", False),
        ("not_installed_application_linux", "packages: [powershell]", True),
        ("not_installed_application_linux", "packages: [base-files]", False),
    ],
)
def test_lists_of_applications_are_known_profiles(audit, name, text, compliant):
    result = audit("MSFT_ChefInSpecResource", Name=name, AttributesYmlContent=text)

    assert (result.compliance_status == "Compliant") is compliant


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("PasswordPolicy_msid121", lambda tree: tree.path("/etc/passwd").chmod(0o600)),
        ("PasswordPolicy_msid232", lambda tree: tree.user("ann", 1000).shadow("ann", ":1:0:9:7:::")),
        (
            "PasswordPolicy_msid110",
            lambda tree: (
                tree.file("/etc/ssh/sshd_config")
                .unit("ssh")
                .prints("sshd", "-T", out="permitemptypasswords yes\n")
            ),
        ),
    ],
)
def test_password_policies_are_known_profiles(audit, tree, name, change):
    assert audit("MSFT_ChefInSpecResource", Name=name).compliance_status == "Compliant"

    change(tree)

    result = audit("MSFT_ChefInSpecResource", Name=name)
    assert [reason.code for reason in result.reasons] == ["InSpecPolicyNotCompliant"]
