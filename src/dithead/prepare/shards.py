"""A dataset as tar files of many clips each: few large files, readable from any place that fsspec knows.

    config.json       as in the folder form
    manifest.jsonl    as in the folder form, each entry with its ``shard``
    shards.json       name -> bytes and SHA-256 of each tar
    shard-000000.tar  CLIP/crop.mp4, CLIP/audio.flac, CLIP/track.npz, CLIP/meta.json, CLIP/...

``Dataset`` reads both forms. Shards are fetched whole, checked, unpacked beside each other and forgotten oldest first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dithead.errors import DataError, OutputError

SHARDS = "shards.json"
CACHE_VARIABLE = "DITHEAD_SHARD_CACHE"
KEEP = 64  # unpacked shards that stay on the disk


class ShardError(DataError):
    """A shard is missing or not what it was when it was written."""


def write_shards(dataset: str | os.PathLike[str], output: str, *, clips_per_shard: int = 100) -> int:
    """Pack the accepted clips of a dataset folder into tars at ``output``, a folder or a URL; returns how many tars.

    Clips are spread over the shards by a hash of their names, so that every shard is a sample of its split.
    Raises DataError for a bad dataset, OutputError when ``output`` cannot be written.
    """
    from dithead.prepare.dataset import Dataset

    source = Dataset(dataset)
    groups = []
    for split in ("train", "val"):  # apart, so that looking at the held-out people fetches no training shard
        clips = sorted(source.clips(split), key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
        groups += [clips[i : i + clips_per_shard] for i in range(0, len(clips), clips_per_shard)]
    names = {clip.id: f"shard-{i:06d}.tar" for i, group in enumerate(groups) for clip in group}
    place, written = Place(output), {}
    try:
        for i, group in enumerate(groups):
            with tempfile.TemporaryFile() as file:
                _pack([clip.folder for clip in group], file)
                written[f"shard-{i:06d}.tar"] = place.write_file(f"shard-{i:06d}.tar", file)
        entries = [entry | {"shard": names.get(entry["id"], "")} for entry in source.entries]
        place.write_text("config.json", source.config.model_dump_json(indent=1) + "\n")
        place.write_text("manifest.jsonl", "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries))
        place.write_text(SHARDS, json.dumps(written, indent=1) + "\n")  # last: its presence says that all is there
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror or error})") from None
    return len(groups)


def _pack(folders: list[Path], file: Any) -> None:
    """The same bytes whoever packs: names sorted, owners and times left out."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in folders:
            for path in sorted(folder.iterdir()):
                member = tarfile.TarInfo(f"{folder.name}/{path.name}")
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(member, content)


class Place:
    """A folder or URL and the files in it, through fsspec."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            self._files, self._root = url_to_fs(str(url))
        except (ImportError, ValueError) as error:  # fsspec names the package that an unknown protocol needs
            raise DataError(f"{url}: cannot be read ({str(error).splitlines()[0]})") from None
        self.url = str(url).rstrip("/")

    def path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read_text(self, name: str) -> str:
        """Raises FileNotFoundError or another OSError."""
        return bytes(self._files.cat_file(self.path(name))).decode("utf-8")

    def exists(self, name: str) -> bool:
        return bool(self._files.exists(self.path(name)))

    def write_text(self, name: str, text: str) -> None:
        self._files.makedirs(self._root, exist_ok=True)
        self._files.pipe_file(self.path(name), text.encode())

    def write_file(self, name: str, file: Any) -> dict[str, Any]:
        """Copy an open file there; returns its bytes and SHA-256."""
        self._files.makedirs(self._root, exist_ok=True)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        with self._files.open(self.path(name), "wb") as target:
            shutil.copyfileobj(file, target)
        return {"bytes": size, "sha256": digest}

    def fetch(self, name: str, to: Path) -> None:
        with self._files.open(self.path(name), "rb") as source, to.open("wb") as target:
            shutil.copyfileobj(source, target)


class ShardStore:
    """Unpacked shards of one dataset on this disk, the oldest forgotten first. Safe among threads and processes."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._listed: dict[str, Any] = json.loads(place.read_text(SHARDS))
        base = Path(os.environ.get(CACHE_VARIABLE, Path(tempfile.gettempdir()) / "dithead-shards"))
        key = hashlib.sha256(f"{place.url} {sorted(self._listed.items())}".encode()).hexdigest()[:12]
        self.folder = base / key / place.url.rsplit("/", 1)[-1]
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._broken: dict[str, str] = {}
        self._lock = threading.Lock()

    def clip(self, shard: str, clip: str) -> Path:
        """The clip's folder, after fetching its shard. Raises ShardError, every time at once, for a bad shard."""
        with self._lock:
            if shard in self._broken:
                raise ShardError(self._broken[shard])
            if not (self.folder / shard).is_dir():
                self._unpack(shard)
            self._recent[shard] = None
            self._recent.move_to_end(shard)
            while len(self._recent) > KEEP:
                shutil.rmtree(self.folder / self._recent.popitem(last=False)[0], ignore_errors=True)
        return self.folder / shard / clip

    def _unpack(self, shard: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            tar, folder = Path(temporary) / shard, Path(temporary) / "clips"
            try:
                self.place.fetch(shard, tar)
                self._check(shard, tar)
                with tarfile.open(tar) as packed:
                    _extract(packed, folder)
            except (OSError, tarfile.TarError, DataError) as error:
                self._broken[shard] = f"{self.place.url}/{shard}: {error}"
                raise ShardError(self._broken[shard]) from None
            if not (self.folder / shard).is_dir():  # another process may have been quicker
                folder.rename(self.folder / shard)

    def _check(self, shard: str, tar: Path) -> None:
        with tar.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self._listed.get(shard, {}).get("sha256"):
                raise DataError("does not match its SHA-256 in shards.json; copy it again")


def _extract(packed: tarfile.TarFile, folder: Path) -> None:
    """``extractall`` of plain files within ``folder`` alone; Pythons before 3.11.4 have no filter for that."""
    if hasattr(tarfile, "data_filter"):
        packed.extractall(folder, filter="data")
        return
    for member in packed:
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name} is no plain file within the shard")
        packed.extract(member, folder)


def shuffled(shards: dict[str, list[int]], seed: int, epoch: int, together: int = 4) -> Iterator[int]:
    """The order of an epoch: shards in random order, their clips mixed among ``together`` neighbouring shards.

    ``shards`` lists the clips (by number) in each. A function of its arguments alone, so that a run resumes in the
    middle of an epoch by counting; and only ``together`` shards need be at hand at a time.
    """
    import numpy as np

    rng = np.random.default_rng([seed, epoch])
    names = sorted(shards)
    order = [names[i] for i in rng.permutation(len(names))]
    for first in range(0, len(order), together):
        clips = [clip for name in order[first : first + together] for clip in shards[name]]
        yield from (clips[i] for i in rng.permutation(len(clips)))
