"""Sub-commands that make datasets: prepare, from raw videos, and shard, which packs a dataset into tar files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, given, out, out_fields, reports, takes_options
from dithead.prepare.settings import PrepareOptions
from dithead.progress import terminal_progress

RawDir = Annotated[Path, typer.Argument(help="Folder of videos, searched with its sub-folders.")]
DatasetFolder = Annotated[Path, typer.Option("--output", "-o", help="Dataset folder; the same command resumes it.")]


@reports
@takes_options(PrepareOptions)
def prepare(raw_dir: RawDir, output: DatasetFolder, as_json: Json = False, **options: Any) -> None:
    """Turn raw videos into a dataset of aligned face crops, landmarks and speech."""
    from dithead.prepare.prepare_dataset import prepare_dataset

    result = prepare_dataset(raw_dir, output, **given(**options))
    if as_json:
        out_fields(result)
        return
    rejected = ", ".join(f"{count} {reason}" for reason, count in result.rejected.items()) or "none"
    silent = f"; without sound: {result.silent}" if result.silent else ""
    out(
        f"{output}  {result.clips} clips of {result.identities} people, {result.seconds / 60:.1f} min; "
        f"rejected: {rejected}; sound moved in {result.corrected}{silent}"
    )


@reports
def shard(
    dataset: Annotated[Path, typer.Argument(help="A prepared dataset's folder.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder or URL, such as s3://bucket/people.")],
    clips: Annotated[int | None, typer.Option(min=1, help="Clips in a tar.")] = None,
) -> None:
    """Pack a dataset into tar files that training reads from any place fsspec knows."""
    from dithead.prepare.shard_writer import write_shards

    with terminal_progress() as progress:
        count = write_shards(dataset, output, progress=progress, **given(clips_per_shard=clips))
    out(f"{output}  {count} shards")
