"""TLS as clients of every age meet it: openssl's own client against the real listener."""

from __future__ import annotations

import subprocess

import pytest

from arcbed_cloud import hosts

HOSTS = [pattern.replace("*", "any") for pattern in hosts.patterns()]


def handshake(port: int, host: str, *options: str) -> str:
    """What `openssl s_client` says of one handshake."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host, *options]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout + done.stderr


OLD = ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")


@pytest.fixture(scope="module")
def port(running_cloud) -> int:
    return int(running_cloud.url.rpartition(":")[2])


@pytest.mark.parametrize("host", HOSTS)
def test_tls_1_1_is_refused_with_an_alert_on_every_host(port, host):
    assert "alert protocol version" in handshake(port, host, *OLD)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_newer_tls_is_spoken_and_the_certificate_holds(running_cloud, port, version):
    for host in HOSTS:
        said = handshake(port, host, version, "-CAfile", running_cloud.ca, "-verify_hostname", host)
        assert "Verify return code: 0 (ok)" in said


def test_the_old_client_does_speak_tls_1_1_to_a_server_that_takes_it(tmp_path):
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=old",
        "-keyout",
        "key.pem",
        "-out",
        "crt.pem",
    ]
    subprocess.run(["openssl", *made], cwd=tmp_path, check=True, capture_output=True)
    server = subprocess.Popen(
        [
            "openssl",
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            "crt.pem",
            "-key",
            "key.pem",
            "-naccept",
            "1",
            *OLD,
        ],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:
        ready = next(line for line in server.stdout if line.startswith("ACCEPT"))
        said = handshake(int(ready.rpartition(":")[2]), "old", *OLD)
        server.stdin.close()
    assert "alert" not in said
    assert "Cipher    : 0000" not in said
    assert "New, TLSv1.0, Cipher is ECDHE" in said or "New, TLSv1.1, Cipher is ECDHE" in said
