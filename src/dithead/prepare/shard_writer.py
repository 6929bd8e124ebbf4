"""Pack a dataset into tar files of many clips, in a folder or at a URL; ``shards`` describes the files."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from dithead.errors import OutputError
from dithead.prepare.dataset import Clip, Dataset
from dithead.prepare.shards import SHARD_LIST, RemoteFolder
from dithead.progress import Progress, counted, silent


def write_shards(
    dataset: str | os.PathLike[str], output: str, *, clips_per_shard: int = 100, progress: Progress = silent
) -> int:
    """Pack the accepted clips of a dataset folder into tar files.

    Clips are spread over the shards by a hash of their names, so that every shard is a sample of its split.

    Args:
        dataset: Folder of the dataset.
        output: A folder or a URL that fsspec knows.
        clips_per_shard: Clips in one tar file, at most.
        progress: Called with the tar files written.

    Returns:
        How many tar files there are.

    Raises:
        DataError: There is no such dataset.
        OutputError: The output cannot be written.
    """
    source = Dataset(dataset)
    groups = _groups(source, clips_per_shard)
    names = {clip.id: _shard_name(i) for i, group in enumerate(groups) for clip in group}
    remote, written = RemoteFolder(output), {}
    try:
        for i, group in enumerate(counted(groups, "shards", len(groups), progress)):
            with tempfile.TemporaryFile() as file:
                _pack([clip.folder for clip in group], file)
                written[_shard_name(i)] = remote.write_file(_shard_name(i), file)
        entries = [entry | {"shard": names.get(entry["id"], "")} for entry in source.entries]
        remote.write_text("config.json", json.dumps(source.config.stored_values(), indent=1) + "\n")
        remote.write_text("manifest.jsonl", "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries))
        remote.write_text(SHARD_LIST, json.dumps(written, indent=1) + "\n")  # last: it says that all the rest is there
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{output}: cannot be written ({reason}); choose another place") from None
    return len(groups)


def _shard_name(number: int) -> str:
    return f"shard-{number:06d}.tar"


def _groups(dataset: Dataset, clips_per_shard: int) -> list[list[Clip]]:
    """Divide the clips into shards, each split apart, so that validation fetches no training shard."""
    groups = []
    for split in ("train", "val"):
        clips = sorted(dataset.clips(split), key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
        groups += [clips[i : i + clips_per_shard] for i in range(0, len(clips), clips_per_shard)]
    return groups


def _pack(folders: list[Path], file: IO[bytes]) -> None:
    """Write a tar file whose bytes are the same whoever packs: names sorted, owners and times left out."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in folders:
            for path in sorted(folder.iterdir()):
                member = tarfile.TarInfo(f"{folder.name}/{path.name}")
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(member, content)
