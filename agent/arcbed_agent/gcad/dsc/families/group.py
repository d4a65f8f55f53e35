"""nxGroup and GC_LinuxGroup: a local group and its members.

Source: Azure/nxtools, classes nxGroup and GC_LinuxGroup.
"""

from __future__ import annotations

from typing import ClassVar

from arcbed_agent.gcad.dsc.accounts import Group as FoundGroup
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault


class Group(Resource):
    """A group of /etc/group."""

    names: ClassVar[tuple[str, ...]] = ("nxGroup", "MSFT_nxGroupResource")
    code: ClassVar[str] = "nxGroup"
    keys: ClassVar = ("GroupName",)

    def _members(self, name: str) -> list[str] | None:
        """One of the lists of members; None when it is not asked for."""
        return self.texts(name) if self.given(name) else None

    def _exact(self) -> list[str] | None:
        """The members that there must be; Force without Members means none at all."""
        members = self._members("Members")
        if not members and self.flag("Force") and not self.given("MembersToInclude"):
            return []
        return members or None

    def inspect(self) -> Current:
        """Compare the group with what is given."""
        name = self.safe(self.text("GroupName"))
        group = self.host.group(name)
        if group is None:
            absent = Current({"GroupName": name, "Ensure": "Absent"})
            if self.wanted:
                phrase = f"The group '{name}' was not found but is expected to be present."
                absent.reasons.append(self.reason("Ensure", phrase))
            return absent
        current = Current(
            {
                "GroupName": name,
                "Ensure": "Present",
                "Members": list(group.members),
                "PreferredGroupID": str(group.gid),
            }
        )
        if self.wanted:
            self._compare(current, group)
        else:
            phrase = f"The group '{name}' is expected to be absent but is present."
            current.reasons.append(self.reason("Ensure", phrase))
        return current

    def _compare(self, current: Current, group: FoundGroup) -> None:
        found, name = set(group.members), group.name
        exact = self._exact()
        if exact is not None:
            if set(exact) != found:
                missing, extra = sorted(set(exact) - found), sorted(found - set(exact))
                phrase = (
                    f"The members of group '{name}' do not match. "
                    f"It misses '{', '.join(missing)}' and has the extra '{', '.join(extra)}'."
                )
                current.reasons.append(self.reason("Members", phrase))
        else:
            self._compare_lists(current, group)
        preferred = self.text("PreferredGroupID")
        if preferred and preferred != str(group.gid):
            phrase = f"The group ID preferred for '{name}' is '{preferred}' but it has '{group.gid}'."
            current.reasons.append(self.reason("PreferredGroupID", phrase))

    def _compare_lists(self, current: Current, group: FoundGroup) -> None:
        include, exclude = self._members("MembersToInclude") or [], self._members("MembersToExclude") or []
        missing = [member for member in include if member not in group.members]
        extra = [member for member in exclude if member in group.members]
        if missing:
            phrase = f"The group '{group.name}' is missing the following members: {', '.join(missing)}."
            current.reasons.append(self.reason("MembersToInclude", phrase))
        if extra:
            phrase = f"The following members should not be in group '{group.name}': {', '.join(extra)}."
            current.reasons.append(self.reason("MembersToExclude", phrase))

    def is_compliant(self, current: Current) -> bool:
        """Another group ID than preferred is a reason, but not a failure."""
        return all(reason.code.endswith(":PreferredGroupID") for reason in current.reasons)

    def enforce(self) -> None:
        """groupadd, groupmod, gpasswd, groupdel."""
        name = self.safe(self.text("GroupName"))
        self.host.may_change_machine("Groups")
        group = self.host.group(name)
        if not self.wanted:
            if group:
                self.command("groupdel", "--", name)
            return
        preferred = self.text("PreferredGroupID")
        if preferred and not preferred.isdecimal():
            raise ResourceFault("InvalidProperty", f"PreferredGroupID '{preferred}' is not a number.")
        if group is None:
            self.command("groupadd", *(("-g", preferred) if preferred else ()), "--", name)
        elif preferred and preferred != str(group.gid):
            self.command("groupmod", "-g", preferred, "--", name)
        self._set_members(name, set(group.members) if group else set())

    def _set_members(self, name: str, found: set[str]) -> None:
        exact = self._exact()
        if exact is not None:
            self.command("gpasswd", "-M", ",".join(self.safe(member) for member in exact), name)
            return
        for member in self._members("MembersToInclude") or []:
            if member not in found:
                self.command("gpasswd", "-a", self.safe(member), name)
        for member in self._members("MembersToExclude") or []:
            if member in found:
                self.command("gpasswd", "-d", member, name)


class PolicyGroup(Group):
    """The same with the members as text, separated by semicolons."""

    names: ClassVar[tuple[str, ...]] = ("GC_LinuxGroup",)
    code: ClassVar[str] = "GC_LinuxGroup"

    def _members(self, name: str) -> list[str] | None:
        as_text = self.text(f"{name}AsString")
        if as_text:
            return [member.strip() for member in as_text.split(";") if member.strip()]
        return super()._members(name)
