"""Sub-commands about marks and permissions: verify, which reads them, and keys, which shows and renews the signer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, out, say
from dithead.errors import ConfigError

keys = typer.Typer(help="The key that signs outputs: show, rotate, export.", no_args_is_help=True)


def verify(
    files: Annotated[list[Path], typer.Argument(help="Videos, pictures, sounds, or folders of them.", metavar="FILE…")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Read the credentials only; do not search the picture for the watermark.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file on stdout.")] = False,
) -> None:
    """Say what marks files carry: who signed them, what was redrawn when, and whether they were changed since.

    Exit code 0: all are marked and intact; 1: one has no mark; 3: one is marked but altered; 2: one cannot be read.
    """
    from dithead.provenance.verify import exit_code, verify_all
    from dithead.provenance.verify_text import sentences

    verdicts = []
    for result in verify_all(files, watermark=not quick):
        verdicts.append(result.verdict)
        if as_json:
            out(json.dumps(result.record(), ensure_ascii=False))
        elif result.verdict == "unreadable":
            say(result.error)
        else:
            out("\n".join(sentences(result)))
    raise typer.Exit(exit_code(verdicts))


@keys.command()
def show(as_json: Json = False) -> None:
    """Show who signs the outputs; a key is made when there is none."""
    from dithead.provenance.keys import signing_key

    _print_key(signing_key(), as_json)


@keys.command()
def rotate(
    name: Annotated[
        str | None, typer.Option(help="What the new certificate calls the signer; nobody checks it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replace the self-made key by a new one; files signed with the old one are still recognised."""
    from dithead.provenance.keys import rotate as rotate_key

    _print_key(rotate_key(name), as_json)


@keys.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="A .pem file; it holds nothing secret.")],
) -> None:
    """Write the public certificate by which others recognise this signer, for `trust` in their trust.toml."""
    from dithead.media.files import replacing
    from dithead.provenance.keys import signing_key

    if output.exists() and b"PRIVATE KEY" in output.read_bytes():
        raise ConfigError(f"{output}: holds a private key and is not overwritten; give another name")
    with replacing(output) as temporary:
        temporary.write_bytes(signing_key().anchor)
    out(f"{output}  the certificate that others can trust")


def _print_key(key: Any, as_json: bool) -> None:
    described = {
        "name": key.name,
        "issuer": key.issuer,
        "self_made": key.self_made,
        "fingerprint": key.fingerprint,
        "algorithm": key.algorithm,
        "valid_until": key.valid_until.isoformat(),
        "folder": None if key.folder is None else str(key.folder),
        "timestamp_authority": key.timestamp_authority,
    }
    if as_json:
        out(json.dumps(described, ensure_ascii=False))
        return
    for name, value in described.items():
        if value is not None:
            out(f"{name.replace('_', ' '):<20} {value}")
