"""The notification service's allow list, over TLS, under Azure's name."""

from __future__ import annotations

import httpx
import pytest

HOST = {"Host": "guestnotificationservice.azure.com"}


@pytest.fixture(scope="module")
def ask(running_cloud):
    with httpx.Client(base_url=running_cloud.url, verify=running_cloud.tls, headers=HOST) as client:

        def ask(path, **query):
            return client.get(path, params=query)

        yield ask


def test_allow_list_names_relays_of_the_region_without_a_sign_in(ask):
    answer = ask("/urls/allowlist", location="westeurope", **{"api-version": "2020-01-01"})
    assert answer.status_code == 200
    assert answer.json()
    assert all(
        name.startswith("azgn-westeurope-public-") and name.endswith(".servicebus.windows.net")
        for name in answer.json()
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"api-version": "2020-01-01"}, "InvalidRequest"),
        ({"api-version": "2020-01-01", "location": "atlantis"}, "UnknownLocation"),
        ({"location": "westeurope"}, "UnsupportedApiVersion"),
    ],
)
def test_allow_list_asked_wrongly_says_what_is_wrong(ask, query, code):
    answer = ask("/urls/allowlist", **query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("host", ["pas.windows.net", "dls.microsoft.com"])
def test_host_without_a_service_answers_404_in_azures_shape(running_cloud, host):
    answer = httpx.get(f"{running_cloud.url}/anything", verify=running_cloud.tls, headers={"Host": host})
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"code", "message"}
