"""The ``k=v,k2='v with space'`` notation of ``--tags``."""

from __future__ import annotations

from collections.abc import Iterator

#: ARM's limits for tags.
MAX_TAGS, MAX_NAME, MAX_VALUE = 50, 512, 256
_FORBIDDEN = set("<>%&\\?/")


def parse_pairs(text: str) -> dict[str, str]:
    """Read pairs.

    A value, or a name, may stand in single or double quotes, and a backslash takes the next character as
    it is (agent 1.50). The first ``=`` that is neither quoted nor escaped ends the name; a pair without
    one, or with an empty name, is malformed.

    Raises:
        ValueError: the text is malformed, a name occurs twice, or ARM would refuse a tag.
    """
    pairs: dict[str, str] = {}
    if not text.strip():
        return pairs
    for name, value in _split(text):
        if name is None:
            raise ValueError(f"'{value}' is not of the form Key=Value")
        if not name:
            raise ValueError(f"'={value}' has no key")
        if name.lower() in {known.lower() for known in pairs}:
            raise ValueError(f"key '{name}' is given twice")
        pairs[name] = value
    return pairs


def parse_tags(text: str) -> dict[str, str]:
    """`parse_pairs`, within ARM's limits for tags.

    Raises:
        ValueError: malformed or beyond the limits.
    """
    tags = parse_pairs(text)
    if len(tags) > MAX_TAGS:
        raise ValueError(f"{len(tags)} tags are given and Azure takes {MAX_TAGS}")
    for name, value in tags.items():
        if bad := _FORBIDDEN.intersection(name):
            raise ValueError(f"key '{name}' holds {min(bad)}, which Azure does not allow")
        if len(name) > MAX_NAME:
            raise ValueError(f"key '{name[:20]}...' is longer than {MAX_NAME} characters")
        if len(value) > MAX_VALUE:
            raise ValueError(f"the value of '{name}' is longer than {MAX_VALUE} characters")
    return tags


def _split(text: str) -> Iterator[tuple[str | None, str]]:
    """Pairs of name (None: no ``=`` in this part) and value."""
    name: str | None = None
    held: list[str] = []  # characters so far
    kept = 0  # so many of them are quoted or escaped, and not stripped at the end
    quote = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            following = next(characters, None)
            if following is None:
                raise ValueError("the text ends in a backslash")
            held.append(following)
            kept = len(held)
        elif quote:
            if character == quote:
                quote, kept = "", len(held)
            else:
                held.append(character)
        elif character in "'\"":
            quote, kept = character, len(held)
        elif character == "=" and name is None:
            name, held, kept = _finished(held, kept), [], 0
        elif character == ",":
            yield name, _finished(held, kept)
            name, held, kept = None, [], 0
        elif held or kept or not character.isspace():
            held.append(character)
    if quote:
        raise ValueError(f"a quote ({quote}) is not closed")
    yield name, _finished(held, kept)


def _finished(held: list[str], kept: int) -> str:
    return "".join(held[:kept]) + "".join(held[kept:]).rstrip()


def render_pairs(pairs: dict[str, str]) -> str:
    """The notation of `pairs`; what `parse_pairs` reads back."""
    return ",".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
