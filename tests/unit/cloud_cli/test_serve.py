import http.client
import json
import socket
import ssl
from pathlib import Path

import pytest

from arcbed_cloud.cli.admin import AdminError, call
from arcbed_cloud.folder import Running


def get(served, path: str, **headers: str):
    running = Running.read(served.state)
    context = ssl.create_default_context(cafile=served.state / "ca.pem")
    connection = http.client.HTTPSConnection("localhost", running.port, context=context, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def admin(served, method: str, path: str, body=None):
    return call(served.state, Running.read(served.state).admin, method, f"/_fakecloud/{path}", body)


def test_welcome_says_where_it_is_and_what_comes_next(serve):
    served = serve()
    running = Running.read(served.state)
    assert served.first_line.strip() == f"fakecloud is ready at {running.url}"
    served.process.terminate()
    rest, errors = served.process.stdout.read(), served.process.stderr.read()
    served.process.wait(20)
    assert "fakecloud env" in rest
    assert errors == ""
    assert served.process.returncode == 0


def test_public_listener_answers_health_over_tls_without_a_server_header(served):
    answer, content = get(served, "/_fakecloud/health")
    assert answer.status == 200
    assert json.loads(content)["apiVersion"] == 1
    assert answer.headers["server"] is None
    assert answer.headers["date"]


@pytest.mark.parametrize("host", ["management.azure.com", "login.microsoftonline.com", "whatever.example"])
def test_health_is_never_shadowed_by_a_cloud_host(served, host):
    assert get(served, "/_fakecloud/ready", Host=host)[0].status == 200


def test_rest_of_the_admin_api_is_not_on_the_public_listener(served):
    token = (served.state / "admin.token").read_text().strip()
    assert get(served, "/_fakecloud/state", Authorization=f"Bearer {token}")[0].status == 404


def test_calls_without_a_token_get_arms_401(served):
    answer, content = get(served, "/subscriptions?api-version=2022-12-01")
    assert answer.status == 401
    assert json.loads(content)["error"]["code"] == "AuthenticationFailed"
    assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")


def test_host_without_a_service_is_404_in_azures_shape(served):
    for host in ("pas.windows.net", "weu-gas.guestconfiguration.azure.com", "packages.microsoft.com"):
        answer, content = get(served, "/any/path", Host=host)
        assert answer.status == 404
        assert json.loads(content)["error"]["code"] == "NotFound"
        assert answer.headers["access-control-allow-origin"] is None


def test_host_that_is_nobodys_is_refused(served):
    """A page that points its own name at loopback gets nothing."""
    assert get(served, "/subscriptions", Host="rebound.example")[0].status == 421


def test_body_beyond_the_cap_is_refused_before_it_is_read(served):
    answer, _ = get(served, "/his/log", **{"Content-Length": "99999999"})
    assert answer.status == 413


def test_tls_1_1_is_not_spoken(served):
    running = Running.read(served.state)
    context = ssl.create_default_context(cafile=served.state / "ca.pem")
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", running.port)) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_files_with_secrets_are_private(served):
    for name in (
        "secrets.json",
        "admin.token",
        "admin.sock",
        "owner.pem",
        "token-keys.pem",
        "state.db",
        "ca.key",
    ):
        assert (served.state / name).stat().st_mode & 0o077 == 0, name


def test_process_is_called_fakecloud(served):
    assert Path(f"/proc/{served.process.pid}/cmdline").read_bytes().startswith(b"fakecloud")


def test_state_in_use_is_told_with_the_holders_process_id(served, run):
    second = run("serve", "--state", str(served.state), "--port", "0")
    assert second.returncode == 1
    assert f"in use by process {served.process.pid}" in second.stderr
    assert Running.read(served.state) is not None


def test_taken_port_is_told_with_the_way_out(served, run, tmp_path):
    port = Running.read(served.state).port
    second = run("serve", "--state", str(tmp_path / "other"), "--port", str(port))
    assert second.returncode == 1
    assert f"127.0.0.1:{port}: address already in use" in second.stderr
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr


def test_remote_bind_needs_consent(run, tmp_path):
    refused = run("serve", "--state", str(tmp_path / "s"), "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1
    assert "--allow-remote" in refused.stderr


def test_damaged_secrets_are_told_and_not_overwritten(run, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "secrets.json").write_text("{torn")
    refused = run("serve", "--state", str(state), "--port", "0")
    assert refused.returncode == 1
    assert "secrets.json is damaged" in refused.stderr
    assert (state / "secrets.json").read_text() == "{torn"


def test_killed_process_leaves_a_state_that_starts_again_with_the_same_ids(serve):
    first = serve()
    before = (first.state / "secrets.json").read_text()
    made = admin(first, "POST", "principals", {"name": "kept"})
    first.stop(kill=True)
    assert Running.read(first.state) is None
    second = serve(state=first.state)
    assert (first.state / "secrets.json").read_text() == before
    names = {entry["objectId"] for entry in admin(second, "GET", "principals")["principals"]}
    assert made["objectId"] in names


def test_stopped_process_takes_its_addresses_with_it(serve):
    served = serve()
    assert served.stop() == 0
    for name in ("fakecloud.json", "fakecloud.pid", "admin.sock"):
        assert not (served.state / name).exists()


def test_state_folder_with_a_very_long_path_is_served(serve, tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "state"
    served = serve(state=deep)
    assert admin(served, "GET", "state")["tables"]["principals"] == 3


def test_admin_api_on_tcp_answers_there(serve):
    served = serve("--admin-port", "0")
    assert Running.read(served.state).admin.startswith("http://127.0.0.1:")
    assert admin(served, "GET", "clock")["mode"] == "live"


def test_stepped_clock_stands_still_and_goes_on_where_it_stopped(serve):
    served = serve("--clock", "stepped")
    moved = admin(served, "POST", "clock/advance", {"days": 14})
    assert moved["mode"] == "stepped"
    served.stop(kill=True)
    again = serve("--clock", "stepped", state=served.state)
    assert admin(again, "GET", "clock")["now"] == moved["now"]


def test_plain_http_switch_serves_http(serve):
    served = serve("--no-tls")
    running = Running.read(served.state)
    assert running.url.startswith("http://")
    connection = http.client.HTTPConnection("localhost", running.port, timeout=10)
    connection.request("GET", "/_fakecloud/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_wrong_admin_token_is_refused(served, tmp_path):
    (tmp_path / "admin.token").write_text("wrong")
    with pytest.raises(AdminError, match="401"):
        call(tmp_path, Running.read(served.state).admin, "GET", "/_fakecloud/state")
