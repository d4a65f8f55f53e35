import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from arcbed_cloud.folder import Running

KEYS = [
    "armEndpoint",
    "authority",
    "graphEndpoint",
    "tenantId",
    "subscriptionId",
    "caFile",
    "owner",
    "onboarding",
]


def test_json_has_exactly_the_documented_keys(served, run):
    document = json.loads(run("env", "--state", str(served.state), "--json").stdout)
    assert list(document) == KEYS
    for name in ("owner", "onboarding"):
        assert list(document[name]) == ["clientId", "clientSecret", "objectId", "certificateFile"]
        assert Path(document[name]["certificateFile"]).is_file()
    assert document["armEndpoint"] == document["authority"] == Running.read(served.state).url


def test_shell_exports_can_be_evaluated_and_forgotten_again(served):
    fakecloud = f"{sys.executable} -m arcbed_cloud.cli"
    script = (
        f'eval "$({fakecloud} env --state {served.state})"; echo "$AZURE_CLIENT_SECRET|$SSL_CERT_FILE";'
        f'eval "$({fakecloud} env --unset)"; echo "${{AZURE_CLIENT_SECRET-gone}}"'
    )
    lines = subprocess.check_output(["bash", "-c", script], text=True).splitlines()
    secrets = json.loads((served.state / "secrets.json").read_text())
    assert lines == [f"{secrets['owner']['clientSecret']}|{served.state / 'ca.pem'}", "gone"]


def test_exports_may_carry_the_onboarding_principal(served, run):
    secrets = json.loads((served.state / "secrets.json").read_text())
    output = run("env", "--state", str(served.state), "--principal", "onboarding").stdout
    assert f"AZURE_CLIENT_ID={secrets['onboarding']['clientId']}" in output


def test_secrets_on_a_terminal_are_masked(served):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "arcbed_cloud.cli", "env", "--state", str(served.state), "--json"]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        process.wait(20)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    secrets = json.loads((served.state / "secrets.json").read_text())
    assert secrets["owner"]["clientSecret"] not in shown
    assert "********" in shown


def test_secrets_in_github_actions_are_announced_to_the_log_masker(served, run):
    result = run("env", "--state", str(served.state), "--json", GITHUB_ACTIONS="true")
    secrets = json.loads((served.state / "secrets.json").read_text())
    assert f"::add-mask::{secrets['owner']['clientSecret']}" in result.stderr
    assert "add-mask" not in result.stdout


def test_state_from_the_environment_is_used(served, run):
    assert run("env", "--json", ARCBED_STATE=str(served.state)).returncode == 0


def test_env_without_a_running_control_plane_says_how_to_start_one(run, tmp_path):
    result = run("env", "--state", str(tmp_path))
    assert result.returncode == 1
    assert "fakecloud serve --state" in result.stderr


def test_env_after_a_kill_does_not_point_at_a_dead_process(serve, run):
    served = serve()
    served.stop(kill=True)
    assert (served.state / "fakecloud.json").exists()
    assert run("env", "--state", str(served.state)).returncode == 1


def test_trust_prints_settings_for_single_processes_and_changes_nothing(served, run):
    before = sorted(served.state.iterdir())
    output = run("trust", "--state", str(served.state)).stdout
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        assert f"{variable}={served.state / 'ca.pem'}" in output
    assert sorted(served.state.iterdir()) == before


def test_reset_of_a_running_control_plane_drops_what_was_added(serve, run):
    from arcbed_cloud.cli.admin import call

    served = serve()
    where = Running.read(served.state).admin
    call(served.state, where, "POST", "/_fakecloud/principals", {"name": "extra"})
    assert run("reset", "--yes", "--state", str(served.state)).returncode == 0
    names = {
        entry["name"] for entry in call(served.state, where, "GET", "/_fakecloud/principals")["principals"]
    }
    assert names == {"Arc Owner", "arcbed-owner", "arcbed-onboarding"}


def test_reset_of_a_stopped_control_plane_starts_afresh_with_the_same_secrets(serve, run):
    served = serve()
    secrets = (served.state / "secrets.json").read_text()
    served.stop()
    assert run("reset", "--yes", "--state", str(served.state)).returncode == 0
    again = serve(state=served.state)
    assert (again.state / "secrets.json").read_text() == secrets


def test_reset_without_consent_changes_nothing(served, run):
    before = (served.state / "state.db").stat().st_mtime_ns
    result = subprocess.run(
        [sys.executable, "-m", "arcbed_cloud.cli", "reset", "--state", str(served.state)],
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert (served.state / "state.db").stat().st_mtime_ns == before
