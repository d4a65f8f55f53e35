"""LocalUser: no accounts but the expected ones.

Source: Azure/azure-policy, samples/GuestConfiguration, module LocalUser.
"""

from __future__ import annotations

from typing import ClassVar

from arcbed_agent.gcad.dsc.resource import Current, Resource

#: The only shell that counts as no login; Debian's ``nobody`` has another one and is reported.
_NO_LOGIN = "/sbin/nologin"
_FIRST_UID = 1000


class LocalUsers(Resource):
    """Accounts of people that are not in the list of expected ones."""

    names: ClassVar[tuple[str, ...]] = ("LocalUser",)
    code: ClassVar = "LocalUser"
    keys: ClassVar = ("Exclude",)
    settable: ClassVar = False

    def _unexpected(self) -> list[str]:
        expected = {name.strip() for name in self.text("Exclude").split(";")}
        return [
            account.name
            for account in self.host.accounts
            if account.uid >= _FIRST_UID and account.shell != _NO_LOGIN and account.name not in expected
        ]

    def inspect(self) -> Current:
        """There is always one reason, which lists both groups."""
        unexpected = self._unexpected()
        expected = [name.strip() for name in self.text("Exclude").split(";") if name.strip()]
        listed = ", ".join(unexpected) or "none"
        phrase = f"Unexpected accounts: {listed}. Excluded accounts: {', '.join(expected)}."
        return Current({"Exclude": self.text("Exclude")}, [self.reason("Accounts", phrase)])

    def is_compliant(self, current: Current) -> bool:
        """Only the list of accounts decides."""
        del current
        return not self._unexpected()
