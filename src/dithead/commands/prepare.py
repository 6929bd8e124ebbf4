"""Sub-commands that make datasets: prepare, from raw videos, and shard, which packs a dataset into tar files."""

from __future__ import annotations

import inspect
from dataclasses import Field
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from dithead.commands.shared import Json, given, out, out_fields
from dithead.prepare.settings import option_fields

RawDir = Annotated[Path, typer.Argument(help="Folder of videos, searched with its sub-folders.")]
DatasetFolder = Annotated[Path, typer.Option("--output", "-o", help="Dataset folder; the same command resumes it.")]


def prepare(raw_dir: RawDir, output: DatasetFolder, as_json: Json = False, **options: Any) -> None:
    """Turn raw videos into a dataset of aligned face crops, landmarks and speech."""
    from dithead.prepare.prepare_dataset import prepare_dataset

    result = prepare_dataset(raw_dir, output, progress=not as_json, **given(**options))
    if as_json:
        out_fields(result)
        return
    rejected = ", ".join(f"{count} {reason}" for reason, count in result.rejected.items()) or "none"
    silent = f"; without sound: {result.silent}" if result.silent else ""
    out(
        f"{output}  {result.clips} clips of {result.identities} people, {result.seconds / 60:.1f} min; "
        f"rejected: {rejected}; sound moved in {result.corrected}{silent}"
    )


def _command_line_option(name: str, each: Field[Any], kind: Any) -> inspect.Parameter:
    """One option of ``PrepareOptions`` as typer reads it; None where it is not given, so that its default counts."""
    many = get_origin(kind) is tuple
    kind = list[str] if many else kind if isinstance(kind, type) else str
    flags = ["--val-identity"] if many else []  # it is repeated, and names one person each time
    default = False if each.default in (None, ()) or isinstance(each.default, bool) else str(each.default)
    option = typer.Option(*flags, help=each.metadata["help"], show_default=default)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _add_options() -> None:
    """Give ``prepare`` the signature from which typer makes its options."""
    *files, _ = inspect.signature(prepare, eval_str=True).parameters.values()
    options = [_command_line_option(name, each, kind) for name, (each, kind) in option_fields().items()]
    parameters = sorted([*files, *options], key=lambda parameter: parameter.name == "as_json")
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    prepare.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    prepare.__annotations__ = {p.name: p.annotation for p in parameters}


_add_options()


def shard(
    dataset: Annotated[Path, typer.Argument(help="A prepared dataset's folder.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder or URL, such as s3://bucket/people.")],
    clips: Annotated[int | None, typer.Option(min=1, help="Clips in a tar.")] = None,
) -> None:
    """Pack a dataset into tar files that training reads from any place fsspec knows."""
    from dithead.prepare.shard_writer import write_shards

    out(f"{output}  {write_shards(dataset, output, **given(clips_per_shard=clips))} shards")
