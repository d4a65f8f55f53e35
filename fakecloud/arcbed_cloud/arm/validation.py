"""What ARM checks in a body or a name before a provider sees it: tags, location, names.

Sources: Microsoft's articles "Use tags to organize your Azure resources", "Resolve errors for reserved
    resource names" and "Naming rules and restrictions for Azure resources".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.table import ResourceType

MAX_TAGS = 50
MAX_TAG_NAME = 512
MAX_TAG_VALUE = 256
_TAG_NAME_BAD = re.compile(r"[<>%&\\?/\x00-\x1f\x7f]")
_TAG_PREFIXES = ("microsoft", "azure", "windows")

_RESERVED_ANYWHERE = ("MICROSOFT", "WINDOWS")
_RESERVED_START = ("LOGIN",)
_RESERVED_WHOLE = frozenset(
    [
        "ACCESS",
        "APP_CODE",
        "APP_THEMES",
        "APP_DATA",
        "APP_GLOBALRESOURCES",
        "APP_LOCALRESOURCES",
        "APP_WEBREFERENCES",
        "APP_BROWSERS",
        "AZURE",
        "BING",
        "BIZSPARK",
        "BIZTALK",
        "CORTANA",
        "DIRECTX",
        "DOTNET",
        "DYNAMICS",
        "EXCEL",
        "EXCHANGE",
        "FOREFRONT",
        "GROOVE",
        "HOLOLENS",
        "HYPERV",
        "KINECT",
        "LYNC",
        "MSDN",
        "O365",
        "OFFICE",
        "OFFICE365",
        "ONEDRIVE",
        "ONENOTE",
        "OUTLOOK",
        "POWERPOINT",
        "SHAREPOINT",
        "SKYPE",
        "VISIO",
        "VISUALSTUDIO",
        "WEB.CONFIG",
        "XBOX",
    ]
)


def tags(value: Any) -> dict[str, str]:
    """The ``tags`` member of a body; None counts as no tags.

    Raises:
        ArmError: 400 with InvalidRequestContent (shape, names that differ only in case),
            InvalidTagNameCharacters,
            InvalidTagName, InvalidTagValueLength or TooManyTags.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_content("'tags' must be an object of strings")
    seen: set[str] = set()
    for name, text in value.items():
        if not isinstance(text, str):
            raise invalid_content(f"the value of tag '{name}' must be a string")
        if name.lower() in seen:
            raise invalid_content(f"the tag name '{name}' occurs more than once; tag names ignore case")
        seen.add(name.lower())
        _tag(name, text)
    if len(value) > MAX_TAGS:
        raise ArmError(
            400,
            "TooManyTags",
            f"The number of tags '{len(value)}' exceeds the maximum number allowed '{MAX_TAGS}'.",
        )
    return value


def _tag(name: str, text: str) -> None:
    if _TAG_NAME_BAD.search(name):
        raise ArmError(
            400,
            "InvalidTagNameCharacters",
            f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.",
        )
    if not name.strip():
        raise ArmError(400, "InvalidTagName", "The tag name must not be empty.")
    if len(name) > MAX_TAG_NAME:
        raise ArmError(
            400,
            "InvalidTagName",
            f"Tag key too large. Following tag name '{name}' exceeded the maximum length. "
            f"Maximum allowed length for tag name - '{MAX_TAG_NAME}' characters.",
        )
    if name.lower().startswith(_TAG_PREFIXES):
        raise ArmError(
            400,
            "InvalidTagName",
            f"The tag name '{name}' starts with a reserved prefix. "
            f"The reserved prefixes are '{','.join(_TAG_PREFIXES)}'.",
        )
    if len(text) > MAX_TAG_VALUE:
        raise ArmError(
            400,
            "InvalidTagValueLength",
            f"Tag value too large. Following tag value '{text}' exceeded the maximum length. "
            f"Maximum allowed length for tag value - '{MAX_TAG_VALUE}' characters.",
        )


def normalised(location: str) -> str:
    """``West Europe`` and ``westeurope`` are one: lower case without spaces."""
    return location.replace(" ", "").lower()


@lru_cache(maxsize=64)
def _names(locations: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(normalised(place) for place in locations)


def location(value: Any, resource_type: ResourceType) -> str:
    """The ``location`` of a tracked resource's body, normalised.

    Raises:
        ArmError: 400 LocationRequired, InvalidRequestContent or LocationNotAvailableForResourceType.
    """
    if value is None or value == "":
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    if not isinstance(value, str):
        raise invalid_content("'location' must be a string")
    name = normalised(value)
    known = _names(tuple(resource_type.locations))
    if known and name not in known:
        raise ArmError(
            400,
            "LocationNotAvailableForResourceType",
            f"The provided location '{value}' is not available for resource type '{resource_type.type}'. "
            f"List of available regions for the resource type is '{','.join(known)}'.",
        )
    return name


def same_location(name: str, stored: str, wanted: str, group: str | None) -> None:
    """A resource cannot move by PUT.

    Raises:
        ArmError: 409 InvalidResourceLocation.
    """
    if normalised(stored) != normalised(wanted):
        raise ArmError(
            409,
            "InvalidResourceLocation",
            f"The resource '{name}' already exists in location '{normalised(stored)}' in resource group "
            f"'{group}'. "
            f"A resource with the same name cannot be created in location '{normalised(wanted)}'. "
            "Please select a new resource name.",
        )


def reserved_name(name: str) -> None:
    """Refuse trademarked and reserved words.

    MICROSOFT and WINDOWS are refused anywhere, LOGIN at the start, the others only as the whole name.

    Raises:
        ArmError: 400 ReservedResourceName.
    """
    upper = name.upper()
    if (
        upper in _RESERVED_WHOLE
        or upper.startswith(_RESERVED_START)
        or any(word in upper for word in _RESERVED_ANYWHERE)
    ):
        raise ArmError(
            400,
            "ReservedResourceName",
            f"The resource name '{name}' or a part of the name is a trademarked or reserved word.",
        )


def resource_name(name: str, resource_type: ResourceType) -> None:
    """Check a new item's last name against its type's pattern and the reserved words.

    Raises:
        ArmError: 400 InvalidResourceName or ReservedResourceName.
    """
    pattern = resource_type.name_pattern
    if pattern is not None and re.fullmatch(pattern, name) is None:
        raise ArmError(
            400,
            "InvalidResourceName",
            f"Resource name '{name}' is invalid. It must match the pattern '{pattern}'.",
            target=name,
        )
    reserved_name(name)
