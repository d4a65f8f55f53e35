"""``secrets.json``: who and what exists from the first start on, with the secrets in clear."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from arcbed_cloud.files import write_atomic

FILE = "secrets.json"


class SecretsError(RuntimeError):
    """``secrets.json`` is there and cannot be used."""


@dataclass(frozen=True, slots=True)
class Application:
    """A service principal of the first hour; `certificateFile` is PEM, key first."""

    clientId: str  # noqa: N815 - the names that `fakecloud env --json` prints
    clientSecret: str  # noqa: N815
    objectId: str  # noqa: N815
    certificateFile: str  # noqa: N815


@dataclass(frozen=True, slots=True)
class Person:
    """The person who owns the subscription."""

    objectId: str  # noqa: N815
    userPrincipalName: str  # noqa: N815
    displayName: str  # noqa: N815


@dataclass(frozen=True, slots=True)
class Estate:
    """The content of ``secrets.json``."""

    tenant_id: str
    subscription_id: str
    domain: str
    user: Person
    owner: Application
    onboarding: Application

    @property
    def applications(self) -> dict[str, Application]:
        """By the name that `env` gives them."""
        return {"owner": self.owner, "onboarding": self.onboarding}

    @classmethod
    def read(cls, folder: Path) -> Estate | None:
        """The estate of a state folder, or None before the first start.

        Raises:
            SecretsError: it cannot be read as what `write` wrote.
        """
        file = folder / FILE
        try:
            document = orjson.loads(file.read_bytes())
            return cls(
                tenant_id=document["tenantId"],
                subscription_id=document["subscriptionId"],
                domain=document["domain"],
                user=Person(**document["user"]),
                owner=_application(folder, "owner", document["owner"]),
                onboarding=_application(folder, "onboarding", document["onboarding"]),
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise SecretsError(
                f"{file} is damaged ({error}); restore it, or choose another --state."
            ) from error

    def write(self, folder: Path) -> None:
        """Write ``secrets.json`` (0600)."""
        document: dict[str, Any] = {
            "apiVersion": 1,
            "tenantId": self.tenant_id,
            "subscriptionId": self.subscription_id,
            "domain": self.domain,
            "user": asdict(self.user),
            "owner": asdict(self.owner),
            "onboarding": asdict(self.onboarding),
        }
        write_atomic(folder / FILE, orjson.dumps(document, option=orjson.OPT_INDENT_2), mode=0o600)


def certificate_file(folder: Path, name: str) -> Path:
    """Where the certificate of an application stands. The folder may have moved since it was written."""
    return (folder / f"{name}.pem").resolve()


def _application(folder: Path, name: str, document: dict[str, str]) -> Application:
    return Application(**{**document, "certificateFile": str(certificate_file(folder, name))})
