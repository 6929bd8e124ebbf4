"""Sub-commands about marks and permissions: verify reads marks, keys manages the signer, deny the forbidden faces."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, WholeSentences, complain, out, reports
from dithead.errors import ConfigError
from dithead.progress import plural, terminal_progress

keys = typer.Typer(cls=WholeSentences, help="The key that signs outputs: show, rotate, export.", no_args_is_help=True)
deny = typer.Typer(
    cls=WholeSentences, help="The faces that may not be redrawn: add, list, remove.", no_args_is_help=True
)


@reports
def verify(
    files: Annotated[list[Path], typer.Argument(help="Videos, pictures, sounds, or folders of them.", metavar="FILE…")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Read the credentials only; do not search the picture for the watermark.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file on stdout.")] = False,
) -> None:
    """Say what marks files carry: who signed them, what was redrawn when, and whether they were changed since.

    Exit code 0: all are signed and unchanged; 1: one has no mark; 3: one was changed since; 2: one cannot be read.
    """
    from dithead.provenance.verify import exit_code, verify_all
    from dithead.provenance.verify_text import sentences

    verdicts = []
    with terminal_progress() as progress:
        for result in verify_all(files, watermark=not quick, progress=progress):
            verdicts.append(result.verdict)
            if as_json:
                out(json.dumps(result.record(), ensure_ascii=False))
            elif result.verdict == "unreadable":
                complain(result.error)
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

    if output.is_file() and b"PRIVATE KEY" in output.read_bytes():
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


@deny.command()
def add(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures or videos that show the person alone.")],
    name: Annotated[str, typer.Option(help="Who it is; the message that refuses a job names it.")],
) -> None:
    """Forbid a face: jobs that would redraw it are refused."""
    from dithead.provenance.deny_list import read_deny_list
    from dithead.provenance.face_pictures import embeddings_of

    found = [embedding for picture in pictures for embedding in embeddings_of(picture)]
    deny_list = read_deny_list(may_be_new=True)
    deny_list.add(name, found)
    deny_list.save()
    out(f"{deny_list.path}  {name}: {plural(len(found), 'picture')} added")


@deny.command(name="list")
def list_faces() -> None:
    """List who is forbidden, and from how many pictures each is known."""
    from dithead.provenance.deny_list import read_deny_list

    for name, count in Counter(face.name for face in read_deny_list().faces).items():
        out(f"{name}  {plural(count, 'picture')}")


@deny.command()
def remove(name: Annotated[str, typer.Argument(help="Who may be redrawn again.")]) -> None:
    """Allow a face again."""
    from dithead.provenance.deny_list import read_deny_list

    deny_list = read_deny_list()
    if not deny_list.remove(name):
        raise ConfigError(f"{deny_list.path}: names no {name!r}; see dithead deny list")
    deny_list.save()
    out(f"{deny_list.path}  {name}: removed")
