"""Reads a dataset that is packed as tar files of many clips, from any place that fsspec knows.

    config.json       as in the folder form
    manifest.jsonl    as in the folder form, each entry with its ``shard``
    shards.json       name -> bytes and SHA-256 of each tar
    shard-000000.tar  CLIP/crop.mp4, CLIP/audio.flac, CLIP/track.npz, CLIP/meta.json, CLIP/...

Few large files are faster to copy than many small ones. Shards are fetched whole, checked against their hash and
unpacked on this machine's disk; ``shard_writer`` makes them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dithead.errors import DataError, MissingExtraError
from dithead.limits import MAX_LISTING, parse_json
from dithead.media.files import cache_folder

SHARD_LIST = "shards.json"
"""File that lists the shards; a dataset that has it is packed, and complete."""
CACHE_VARIABLE = "DITHEAD_SHARD_CACHE"
"""Environment variable that names the folder for unpacked shards; default: ``shards`` in the user's cache folder."""
MAX_UNPACKED = 64
"""Unpacked shards of one dataset that stay on the disk; the one used longest ago is deleted first. Our choice."""


class ShardError(DataError):
    """A shard is missing, or is not what it was when it was written."""


class RemoteFolder:
    """The files of a folder on this machine or at a URL, through fsspec.

    Raises:
        DataError: The protocol of the URL is unknown, or a package for it is missing.
    """

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise MissingExtraError("hub", "fsspec") from None
        try:
            self._files, self._root = url_to_fs(str(url))
        except (ImportError, ValueError) as error:  # fsspec names the package that an unknown protocol needs
            raise DataError(f"{url}: cannot be read ({str(error).splitlines()[0]})") from None
        self.url = str(url).rstrip("/")

    def path(self, name: str) -> str:
        """Return the path of a file as fsspec wants it."""
        return f"{self._root.rstrip('/')}/{name}"

    def read_text(self, name: str) -> str:
        """Return a file's text.

        Raises:
            OSError: It cannot be read, or is longer than ``MAX_LISTING``; FileNotFoundError where there is none.
        """
        with self._files.open(self.path(name), "rb") as file:
            content = bytes(file.read(MAX_LISTING + 1))
        if len(content) > MAX_LISTING:
            raise OSError(f"is larger than {MAX_LISTING >> 30} GiB")
        return content.decode("utf-8")

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""
        return bool(self._files.exists(self.path(name)))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, and make the folder first where it is missing."""
        self._files.makedirs(self._root, exist_ok=True)
        self._files.pipe_file(self.path(name), text.encode())

    def write_file(self, name: str, file: IO[bytes]) -> dict[str, Any]:
        """Copy an open file there; return its number of bytes and SHA-256."""
        self._files.makedirs(self._root, exist_ok=True)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        size = file.tell()
        file.seek(0)
        with self._files.open(self.path(name), "wb") as target:
            shutil.copyfileobj(file, target)
        return {"bytes": size, "sha256": digest}

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file to this machine."""
        with self._files.open(self.path(name), "rb") as source, to.open("wb") as target:
            shutil.copyfileobj(source, target)


class ShardStore:
    """The shards of one dataset, unpacked on this disk when first used. Safe among threads and processes."""

    def __init__(self, remote: RemoteFolder) -> None:
        self.remote = remote
        self._listed: dict[str, Any] = parse_json(remote.read_text(SHARD_LIST))
        base = Path(os.environ.get(CACHE_VARIABLE) or cache_folder() / "shards")
        key = hashlib.sha256(f"{remote.url} {sorted(self._listed.items())}".encode()).hexdigest()[:12]
        self.folder = base / key / remote.url.rsplit("/", 1)[-1]
        self._recent: OrderedDict[str, None] = OrderedDict()  # unpacked shards, the one used longest ago first
        self._broken: dict[str, str] = {}  # shard -> why it cannot be used
        self._lock = threading.Lock()

    def clip_folder(self, shard: str, clip: str) -> Path:
        """Return the folder of a clip, after fetching its shard where needed.

        Raises:
            ShardError: The shard is bad; it is not fetched a second time.
        """
        with self._lock:
            if shard in self._broken:
                raise ShardError(self._broken[shard])
            if not (self.folder / shard).is_dir():
                self._unpack(shard)
            self._recent[shard] = None
            self._recent.move_to_end(shard)
            while len(self._recent) > MAX_UNPACKED:
                shutil.rmtree(self.folder / self._recent.popitem(last=False)[0], ignore_errors=True)
        return self.folder / shard / clip

    def _unpack(self, shard: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
                tar, folder = Path(temporary) / "shard.tar", Path(temporary) / "clips"
                self.remote.fetch(shard, tar)
                self._check_hash(shard, tar)
                with tarfile.open(tar, "r:") as packed:  # never compressed, so that it unpacks to its own size
                    _extract(packed, folder)
                if not (self.folder / shard).is_dir():  # another process may have been faster
                    folder.rename(self.folder / shard)
        except (OSError, tarfile.TarError, DataError) as error:
            self._broken[shard] = f"{self.remote.url}/{shard}: {error}"
            raise ShardError(self._broken[shard]) from None

    def _check_hash(self, shard: str, tar: Path) -> None:
        with tar.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self._listed.get(shard, {}).get("sha256"):
                raise DataError("does not match its SHA-256 in shards.json; copy it again")


def _extract(packed: tarfile.TarFile, folder: Path) -> None:
    """Unpack plain files within ``folder`` only; Python versions before 3.11.4 have no filter for that."""
    if hasattr(tarfile, "data_filter"):
        packed.extractall(folder, filter="data")
        return
    for member in packed:
        inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name} is no plain file within the shard")
        packed.extract(member, folder)


def shuffled(shards: dict[str, list[int]], seed: int, epoch: int, together: int = 4) -> Iterator[int]:
    """Yield the clips of one epoch: shards in random order, their clips mixed among a few neighbouring shards.

    The order depends on the arguments alone, so that a run resumes in the middle of an epoch by counting.

    Args:
        shards: The clips, by number, in each shard.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        together: Shards whose clips are mixed; only so many need to be unpacked at a time.
    """
    import numpy as np

    rng = np.random.default_rng([seed, epoch])
    names = sorted(shards)
    order = [names[i] for i in rng.permutation(len(names))]
    for first in range(0, len(order), together):
        clips = [clip for name in order[first : first + together] for clip in shards[name]]
        yield from (clips[i] for i in rng.permutation(len(clips)))
