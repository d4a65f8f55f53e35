"""Write the generated pages, or with ``--check`` only say which are stale."""

from __future__ import annotations

import sys

from arcbed_docs.pages import PAGES, REFERENCE


def main(arguments: list[str]) -> int:
    """0, or 1 if a page is stale and was not to be written."""
    stale = []
    for name, make in PAGES.items():
        path = REFERENCE / name
        made = make()
        if not path.exists() or path.read_text(encoding="utf-8") != made:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(made, encoding="utf-8")
                print(f"wrote docs/reference/{name}")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run `make docs`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
