"""``fakecloud extension``: the extensions that publishers offer to machines of the bed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbed_cloud.cli.options import State, fail, reason, state_folder

if TYPE_CHECKING:
    from arcbed_cloud.services.extensions import Gallery

app = typer.Typer(
    help="Extensions that machines of the bed can be given.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def publish(
    packages: Annotated[list[Path], typer.Argument(metavar="PACKAGE.zip...", help="As they ship to Azure.")],
    state: State = None,
    publisher: Annotated[
        str | None, typer.Option(help="Whose it is, if neither manifest nor file name say so.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="The extension's type; likewise.")] = None,
    version: Annotated[str | None, typer.Option(help="Its version; likewise.")] = None,
    regions: Annotated[
        list[str] | None, typer.Option("--region", help="Where it is offered; all if left out. Repeatable.")
    ] = None,
    architectures: Annotated[
        list[str] | None, typer.Option("--architecture", help="x64 or arm64; both if left out. Repeatable.")
    ] = None,
) -> None:
    """Publish packages, whether the control plane runs or not.

    The zip is checked as an agent would: its entries, its size, and HandlerManifest.json. A version that is
    published already is replaced.
    """
    from arcbed_cloud.arm.validation import normalised
    from arcbed_cloud.clock import Keeper
    from arcbed_cloud.services.extensions import DepotError, ExtensionPackageError

    gallery = _opened(state)
    for package in packages:
        try:
            entry = gallery.publish(
                package,
                now=Keeper().wall(),
                publisher=publisher,
                kind=kind,
                version=version,
                regions=tuple(normalised(region) for region in regions or ()),
                architectures=tuple(architectures or ()),
            )
        except (ExtensionPackageError, DepotError, OSError) as error:
            fail(reason(error))
        print(f"published {entry.publisher} {entry.type} {entry.version}")


@app.command("list")
def listed(state: State = None) -> None:
    """List what is published: publisher, type, version, regions, digest."""
    for entry in _opened(state).all():
        regions = ",".join(entry.regions) or "all regions"
        print(f"{entry.publisher}  {entry.type}  {entry.version}  {regions}  {entry.sha256}")


@app.command()
def unpublish(
    publisher: Annotated[str, typer.Argument(metavar="PUBLISHER")],
    kind: Annotated[str, typer.Argument(metavar="TYPE")],
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    state: State = None,
) -> None:
    """Take a version away. Machines that have it keep it."""
    from arcbed_cloud.services.extensions import ExtensionPackageError

    try:
        entry = _opened(state).unpublish(publisher, kind, version)
    except ExtensionPackageError as error:
        fail(str(error))
    print(f"unpublished {entry.publisher} {entry.type} {entry.version}")


@app.command()
def storage(
    state: State = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Blob endpoint: https://host[:port][/account].")
    ] = None,
    account: Annotated[str, typer.Option(help="Name of the storage account.")] = "devstoreaccount1",
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with the account's key, in base64.")
    ] = None,
) -> None:
    """Keep packages in another storage account, such as Azurite's; without options in the bed's own again.

    Machines download from there, so its certificate must be one that they trust.
    """
    from arcbed_cloud.clock import Keeper
    from arcbed_cloud.services.extensions import Account, DepotError, ExtensionPackageError

    if (endpoint is None) != (key_file is None):
        fail("--endpoint and --key-file belong together.")
    wanted = None
    try:
        if endpoint is not None and key_file is not None:
            if not endpoint.startswith("https://"):
                fail("The endpoint must begin with https://: agents download from nowhere else.")
            wanted = Account(endpoint.rstrip("/"), account, key_file.read_text(encoding="utf-8").strip())
        _opened(state).store_in(wanted, Keeper().wall())
    except (ExtensionPackageError, DepotError, OSError, ValueError) as error:
        fail(reason(error))
    print(f"packages lie in {endpoint or 'the blob service of the bed'}")


@app.command()
def key(state: State = None) -> None:
    """Print the public key (OpenPGP) that catalogues are signed with."""
    print(_opened(state).key.public_armored.decode(), end="")


def _opened(state: Path | None) -> Gallery:
    from arcbed_cloud.services.blob.store import BlobIndexError, BlobStore
    from arcbed_cloud.services.extensions import DepotError, ExtensionPackageError, Gallery
    from arcbed_cloud.services.extensions.depots import configured

    folder = state_folder(state).resolve()
    gallery = Gallery(folder)
    try:
        gallery.all()
        BlobStore(folder).index()
        configured(gallery.folder)
    except (ExtensionPackageError, BlobIndexError, DepotError) as error:
        fail(str(error))
    return gallery
