"""``arcbed onboarding-script``: what the portal's page "Add servers" hands out, for the bed."""

from __future__ import annotations

import sys
import uuid
from enum import StrEnum
from typing import Annotated

import typer

from arcbed.cli.console import STATE, StateOption, complete, fail, running

#: As the portal asks for them.
LOCATION_TAGS = ("Datacenter", "City", "StateOrDistrict", "CountryOrRegion")


class AuthType(StrEnum):
    """How the machine's administrator signs in."""

    TOKEN = "token"
    PRINCIPAL = "principal"


def onboarding_script(
    state: StateOption = STATE,
    resource_group: Annotated[str, typer.Option(help="Where the machine goes.")] = "rg-servers",
    location: Annotated[str, typer.Option(help="Region of the machine's resource.")] = "westeurope",
    auth_type: Annotated[
        AuthType,
        typer.Option(
            help="token: a person signs in with a device code; principal: the onboarding principal."
        ),
    ] = AuthType.TOKEN,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A tag; repeatable.")] = None,
    datacenter: Annotated[str, typer.Option(help="Physical location tag Datacenter.")] = "",
    city: Annotated[str, typer.Option(help="Physical location tag City.")] = "",
    state_or_district: Annotated[str, typer.Option(help="Physical location tag StateOrDistrict.")] = "",
    country_or_region: Annotated[str, typer.Option(help="Physical location tag CountryOrRegion.")] = "",
    correlation_id: Annotated[
        str | None, typer.Option(help="GUID that ties the steps together. [default: a new one]")
    ] = None,
) -> None:
    """Print a script that installs the agent on a Linux machine and connects it.

    With --auth-type principal the script holds the principal's secret.
    """
    from arcbed.harness.errors import BedError
    from arcbed.harness.process_backend import environment_of
    from arcbed.portal import Onboarding, Principal, linux_script

    places = dict(zip(LOCATION_TAGS, (datacenter, city, state_or_district, country_or_region), strict=True))
    tags = {name: value for name, value in places.items() if value} | _tags(tag or [])
    running(state)
    try:
        env = complete(environment_of(state))
        wanted = Onboarding(
            subscription_id=env["subscriptionId"],
            resource_group=resource_group,
            tenant_id=env["tenantId"],
            location=location,
            correlation_id=_guid(correlation_id),
            tags=tags,
            principal=Principal(env["onboarding"]["clientId"], env["onboarding"]["clientSecret"])
            if auth_type is AuthType.PRINCIPAL
            else None,
        )
        sys.stdout.write(linux_script(wanted))
    except (BedError, ValueError) as error:
        fail(str(error))


def _tags(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    if wrong := [word for word, (name, found, _) in zip(words, pairs, strict=True) if not (name and found)]:
        fail(f"--tag wants NAME=VALUE, not '{wrong[0]}'")
    return {name: value for name, _, value in pairs}


def _guid(given: str | None) -> str:
    if given is None:
        import secrets

        return str(uuid.UUID(int=secrets.randbits(128), version=4))
    try:
        return str(uuid.UUID(given))
    except ValueError:
        fail(f"--correlation-id must be a GUID, not '{given}'")
