"""azure-mgmt-hybridcompute 10.x on extensions, with a machine that does what its goal state says."""

from __future__ import annotations

import json
import time

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.support.obedient import ObedientMachine, well_done
from tests.support.packages import package

from arcbed_cloud.services.extensions import Gallery

SECRET = "correct-horse-battery-staple"
PROBE = {"publisher": "Contoso.Tools", "type": "Probe", "typeHandlerVersion": "1.0"}


@pytest.fixture(scope="session")
def published(running_cloud, tmp_path_factory):
    """Three versions of one extension, one of another, and the handler of run commands."""
    folder = tmp_path_factory.mktemp("published")
    gallery = Gallery(running_cloud.state)
    for name, version in (
        ("Contoso.Tools.Probe", "1.0.1"),
        ("Contoso.Tools.Probe", "1.1.0"),
        ("Contoso.Tools.Probe", "2.0.0"),
        ("Contoso.Tools.Gauge", "3.1.4"),
    ):
        now = time.time()  # noqa: TID251 - of the publisher
        gallery.publish(package(folder, name, version), now=now)
    return gallery


@pytest.fixture
def machine(running_cloud, hybridcompute, registered, group, published):
    """A connected machine ``web-01`` in `group`."""
    registered("Microsoft.HybridCompute")
    machine = ObedientMachine(running_cloud)
    made = hybridcompute.machines.create_or_update(group, "web-01", machine.body())
    machine.connect(made.id)
    yield machine
    machine.close()


def body(**properties):
    return {"location": "westeurope", "properties": {**PROBE, **properties}}


def test_extension_is_created_read_updated_and_deleted(running_cloud, hybridcompute, group, machine):
    extensions = hybridcompute.machine_extensions
    given = body(settings={"a": 1}, protectedSettings={"password": SECRET})
    with machine.obeying():
        made = extensions.begin_create_or_update(
            group, "web-01", "probe", given, polling_interval=0.1
        ).result(30)
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.type_handler_version == "1.0.1"
    assert made.properties.instance_view.status.message == "Extension Message: done"
    assert made.properties.protected_settings is None
    given_out = [item for pull in machine.pulls for item in pull]
    assert {"scheme": "plain-tls", "value": {"password": SECRET}} in [
        item["protectedSettings"] for item in given_out
    ]
    assert SECRET not in json.dumps(running_cloud.stored("resources", made.id))

    with machine.obeying():
        poller = extensions.begin_update(
            group, "web-01", "probe", {"properties": {"settings": {"a": 2}}}, polling_interval=0.1
        )
        changed = poller.result(30)
    assert changed.properties.settings == {"a": 2}
    assert [one.name for one in extensions.list(group, "web-01")] == ["probe"]
    machine_view = hybridcompute.machines.get(group, "web-01", expand="instanceView")
    assert machine_view.properties.extensions[0].name == "probe"
    assert SECRET not in json.dumps(machine_view.as_dict())

    with machine.obeying():
        extensions.begin_delete(group, "web-01", "probe", polling_interval=0.1).result(30)
    with pytest.raises(ResourceNotFoundError) as error:
        extensions.get(group, "web-01", "probe")
    assert error.value.error.code == "HCRP404"


def test_failure_on_the_machine_reaches_the_client_with_its_words(hybridcompute, group, machine):
    text = "Extension returned non-zero exit code for Install: 7. Extension error output: no"

    def fail(item):
        return {**well_done(item), "state": "Failed", "instanceView": {"code": "7", "message": text}}

    with machine.obeying(fail), pytest.raises(HttpResponseError) as error:
        hybridcompute.machine_extensions.begin_create_or_update(
            group, "web-01", "probe", body(), polling_interval=0.1
        ).result(30)
    assert error.value.error.code == "HCRP400"
    assert error.value.error.message == text


def test_several_extensions_are_upgraded_by_one_operation(hybridcompute, group, machine):
    extensions = hybridcompute.machine_extensions
    gauge = {"location": "westeurope", "properties": {"publisher": "Contoso.Tools", "type": "Gauge"}}
    with machine.obeying():
        for name, given in (("probe", body()), ("gauge", gauge)):
            extensions.begin_create_or_update(group, "web-01", name, given, polling_interval=0.1).result(30)
        targets = {
            "extensionTargets": {"Contoso.Tools.Probe": {"targetVersion": "1.1"}, "Contoso.Tools.Gauge": {}}
        }
        hybridcompute.begin_upgrade_extensions(group, "web-01", targets, polling_interval=0.1).result(30)
    assert extensions.get(group, "web-01", "probe").properties.type_handler_version == "1.1.0"
    assert extensions.get(group, "web-01", "gauge").properties.type_handler_version == "3.1.4"


def test_extensions_are_set_up_together_and_named_by_their_type(hybridcompute, group, machine):
    wanted = {"extensions": [PROBE, {"publisher": "Contoso.Tools", "type": "Gauge"}]}
    with machine.obeying():
        done = hybridcompute.begin_setup_extensions(group, "web-01", wanted, polling_interval=0.1).result(30)
    assert sorted(one.type for one in done.extensions) == ["Gauge", "Probe"]
    assert [one.name for one in hybridcompute.machine_extensions.list(group, "web-01")] == ["Gauge", "Probe"]


def test_run_command_gives_its_output_and_is_deleted(hybridcompute, group, machine):
    commands = hybridcompute.machine_run_commands
    said = {"executionState": "Succeeded", "exitCode": 0, "output": "uid=0(root)"}

    def run(item):
        return {**well_done(item), "instanceView": {"message": json.dumps(said)}}

    given = {"location": "westeurope", "properties": {"source": {"script": "id"}, "timeoutInSeconds": 60}}
    with machine.obeying(run):
        made = commands.begin_create_or_update(group, "web-01", "run1", given, polling_interval=0.1).result(
            30
        )
        assert made.properties.instance_view.execution_state == "Succeeded"
        assert made.properties.instance_view.output == "uid=0(root)"
        assert made.properties.timeout_in_seconds == 60
        assert [one.name for one in commands.list(group, "web-01")] == ["run1"]
        commands.begin_delete(group, "web-01", "run1", polling_interval=0.1).result(30)
    with pytest.raises(ResourceNotFoundError):
        commands.get(group, "web-01", "run1")


def test_what_can_be_installed_is_listed_by_both_generations_of_the_api(hybridcompute, published):
    place, publisher = "westeurope", "Contoso.Tools"
    versions = [
        one.properties.version for one in hybridcompute.extension_metadata.list(place, publisher, "Probe")
    ]
    assert versions == ["2.0.0", "1.1.0", "1.0.1"]
    one = hybridcompute.extension_metadata.get(place, publisher, "Probe", "1.1.0")
    assert one.properties.extension_type == "probe"
    assert publisher in [one.name for one in hybridcompute.extension_publisher.list(place)]
    assert [one.name for one in hybridcompute.extension_type.list(place, publisher)] == ["Gauge", "Probe"]
    assert [
        one.properties.version for one in hybridcompute.extension_metadata_v2.list(place, publisher, "Probe")
    ] == versions
    second = hybridcompute.extension_metadata_v2.get(place, publisher, "Probe", "1.1.0")
    assert second.properties.operating_system == "Linux"
    assert "Contoso.Tools.Probe__1.1.0.zip?" in second.properties.extension_uris[0]


def test_refusal_has_azures_code(hybridcompute, group, machine):
    with pytest.raises(HttpResponseError) as error:
        hybridcompute.machine_extensions.begin_create_or_update(
            group, "web-01", "probe", body(typeHandlerVersion="7.0")
        )
    assert error.value.error.code == "HCRP400"
    assert "ExtensionNotFound" in error.value.error.message
