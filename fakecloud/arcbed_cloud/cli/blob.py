"""``fakecloud blob``: files on the storage hosts of the bed, such as packages of machine configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcbed_cloud.cli.options import State, fail, reason, state_folder

if TYPE_CHECKING:
    from arcbed_cloud.services.blob import Blob, BlobStore

Named = Annotated[str, typer.Argument(metavar="ACCOUNT/CONTAINER/NAME", help="The blob.")]
Hours = Annotated[float, typer.Option(min=0.01, help="How long the signed address is good for.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(
    help="Files on the storage hosts of the bed.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to upload.")],
    state: State = None,
    account: Annotated[str, typer.Option(help="Storage account; made if it is new.")] = "arcbed",
    container: Annotated[str, typer.Option(help="Container in it.")] = "packages",
    name: Annotated[str | None, typer.Option(help="Name there; the file's own if left out.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody read it.")] = False,
    hours: Hours = 24.0,
    as_json: AsJson = False,
) -> None:
    """Upload a file, whether the control plane runs or not, and print the address to download it from.

    `contentHash` and `contentUri` are what a guest assignment wants.
    """
    from arcbed_cloud.clock import Keeper
    from arcbed_cloud.services.blob import BlobNameError

    store, folder = _opened(state)
    try:
        with file.open("rb") as source:
            blob = store.put(
                account, container, name or file.name, source, modified=Keeper().wall(), public=public
            )
    except (BlobNameError, OSError) as error:
        fail(reason(error))
    _show(store, blob, folder, hours, as_json=as_json)


@app.command()
def sign(
    blob: Named,
    state: State = None,
    hours: Hours = 24.0,
    permissions: Annotated[
        str, typer.Option(help="Of the signature: r(ead), a(ppend), c(reate), w(rite), d(elete).")
    ] = "r",
    as_json: AsJson = False,
) -> None:
    """Print an address with a fresh signature.

    With the permission to create or write, the blob need not be there: `--permissions racw` is what a run
    command wants of its `outputBlobUri`.
    """
    from arcbed_cloud.services.blob import BlobNameError
    from arcbed_cloud.services.blob.links import PERMISSIONS, place_of

    if not permissions or set(permissions) - set(PERMISSIONS):
        fail(f"'{permissions}' is not made of the letters {PERMISSIONS}.")
    store, folder = _opened(state)
    try:
        found = place_of(store, *_parts(blob), permissions)
    except BlobNameError as error:
        fail(str(error))
    if found is None:
        fail(f"There is no blob {blob}.")
    _show(store, found, folder, hours, permissions=permissions, as_json=as_json)


@app.command("list")
def listed(state: State = None) -> None:
    """List what is there."""
    store, _ = _opened(state)
    for blob in store.index().blobs.values():
        print(f"{blob.key}  {blob.size}  {blob.sha256.upper()}{'  public' if blob.public else ''}")


@app.command()
def delete(blob: Named, state: State = None) -> None:
    """Delete a blob."""
    store, _ = _opened(state)
    if not store.delete(*_parts(blob)):
        fail(f"There is no blob {blob}.")


def _opened(state: Path | None) -> tuple[BlobStore, Path]:
    from arcbed_cloud.services.blob import BlobStore
    from arcbed_cloud.services.blob.store import BlobIndexError

    folder = state_folder(state).resolve()
    store = BlobStore(folder)
    try:
        store.index()
    except BlobIndexError as error:
        fail(str(error))
    return store, folder


def _parts(blob: str) -> tuple[str, str, str]:
    account, _, rest = blob.partition("/")
    container, _, name = rest.partition("/")
    return account, container, name


def _show(
    store: BlobStore, blob: Blob, folder: Path, hours: float, *, permissions: str = "r", as_json: bool
) -> None:
    import json

    from arcbed_cloud.clock import Keeper
    from arcbed_cloud.services.blob.links import signed_url_of

    expiry = Keeper().wall() + hours * 3_600
    found: dict[str, Any] = {
        "contentUri": signed_url_of(store, blob, folder, expiry=expiry, permissions=permissions),
        **({"contentHash": blob.sha256.upper()} if blob.sha256 else {}),
    }
    if as_json:
        print(json.dumps({"apiVersion": 1, **found}, indent=2))
        return
    for label, text in found.items():
        print(f"{label:12} {text}")
