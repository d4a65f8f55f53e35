"""nxUser: a local account.

Source: Azure/nxtools, class nxUser. Passwords are compared as hashes and never shown.
"""

from __future__ import annotations

from typing import ClassVar

from arcbed_agent.gcad.dsc.accounts import Account
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault
from arcbed_agent.gcad.dsc.results import Reason


class User(Resource):
    """An account of /etc/passwd and /etc/shadow."""

    names: ClassVar[tuple[str, ...]] = ("nxUser", "MSFT_nxUserResource")
    code: ClassVar = "nxUser"
    keys: ClassVar = ("UserName",)

    def inspect(self) -> Current:
        """Compare each property that is given."""
        name = self.safe(self.text("UserName"))
        account = self.host.account(name)
        if account is None:
            absent = Current({"UserName": name, "Ensure": "Absent"})
            if self.wanted:
                phrase = f"The user '{name}' was not found but is expected to be present."
                absent.reasons.append(self.reason("Ensure", phrase))
            return absent
        current = Current({"UserName": name, "Ensure": "Present"} | self._found(account))
        if self.wanted:
            current.reasons += self._differences(current)
        else:
            phrase = f"The user '{name}' is expected to be absent but is present."
            current.reasons.append(self.reason("Ensure", phrase))
        return current

    def _found(self, account: Account) -> dict[str, str | bool | None]:
        gecos = account.gecos.split(",")
        group = next((group.name for group in self.host.groups if group.gid == account.gid), None)
        shadow = self.host.shadow(account.name)
        by_number = self.text("GroupID").isdecimal()
        return {
            "FullName": gecos[0],
            "Description": gecos[4] if len(gecos) > 4 else "",
            "HomeDirectory": account.home,
            "GroupID": str(account.gid) if by_number or group is None else group,
            "Disabled": bool(shadow and shadow.password.startswith("!")),
        }

    def _differences(self, current: Current) -> list[Reason]:
        name, found = self.text("UserName"), current.properties
        reasons = [
            self.reason(
                given, f"The {given} of user '{name}' should be '{self.text(given)}' but is '{found[given]}'."
            )
            for given in ("FullName", "Description", "HomeDirectory", "GroupID")
            if self.given(given) and self.text(given) != found[given]
        ]
        disabled = self.optional_flag("Disabled")
        if disabled is not None and disabled != found["Disabled"]:
            wanted, is_now = ("disabled", "enabled") if disabled else ("enabled", "disabled")
            reasons.append(self.reason("Disabled", f"The user '{name}' should be {wanted} but is {is_now}."))
        shadow = self.host.shadow(name)
        if self.given("Password") and (not shadow or shadow.password.lstrip("!") != self.text("Password")):
            reasons.append(self.reason("Password", f"The password of user '{name}' is not the desired one."))
        return reasons

    def enforce(self) -> None:
        """useradd, usermod, passwd, chage, userdel."""
        name = self.safe(self.text("UserName"))
        self.host.may_change_machine("Accounts")
        account = self.host.account(name)
        if not self.wanted:
            if account:
                self.command("userdel", "--", name)
            return
        options = self._options(account)
        if account is None:
            self.command("useradd", *options, "--", name)
        elif options:
            self.command("usermod", *options, "--", name)
        self._set_disabled(name)
        if account is None and self.flag("PasswordChangeRequired"):
            self.command("chage", "-d", "0", "--", name)

    def _options(self, account: Account | None) -> list[str]:
        options = []
        if self.given("FullName") or self.given("Description"):
            options += ["-c", self._gecos(account)]
        for name, option in (("HomeDirectory", "-d"), ("GroupID", "-g"), ("Password", "-p")):
            if self.given(name):
                options += [option, self.text(name)]
        if account is None and self.given("HomeDirectory"):
            options.append("-m")
        return options

    def _gecos(self, account: Account | None) -> str:
        fields = (account.gecos if account else "").split(",")
        fields += [""] * (5 - len(fields))
        for index, name in ((0, "FullName"), (4, "Description")):
            if self.given(name):
                fields[index] = self.text(name)
                if ":" in fields[index] or "\n" in fields[index] or "," in fields[index]:
                    raise ResourceFault("InvalidProperty", f"{name} may not hold ':', ',' or a line break.")
        return ",".join(fields)

    def _set_disabled(self, name: str) -> None:
        disabled = self.optional_flag("Disabled")
        self.host.forget()
        shadow = self.host.shadow(name)
        locked = bool(shadow and shadow.password.startswith("!"))
        if disabled is not None and disabled != locked:
            self.command("usermod", "-L" if disabled else "-U", "--", name)
