"""Reads a prepared dataset, from its folder or from shards.

Letters: N frames, S crop side, K corners of the mask polygon.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError, DataError
from dithead.limits import require_unpacked
from dithead.prepare.settings import PrepareConfig
from dithead.prepare.shards import SHARD_LIST, RemoteFolder, ShardStore
from dithead.types import Wave


@dataclass(frozen=True)
class Track:
    """Where the face of a clip is."""

    landmarks: NDArray[np.float32]  # (N, 478, 2), crop pixels
    transforms: NDArray[np.float64]  # (N, 2, 3), source frame -> crop
    valid: NDArray[np.bool_]  # (N,) False where the landmarks are interpolated
    polygon: NDArray[np.float32]  # (K, 2), crop pixels: the region to generate


@dataclass(frozen=True)
class Clip:
    """One accepted clip of a dataset; its files are read when they are needed, and fetched first where they are packed.

    Every method that reads raises DataError for a damaged file, and its subclass ShardError for a damaged shard.
    """

    id: str
    identity: str
    split: str  # "train" or "val"
    source: str
    licence: str
    length: int  # N
    fps: int
    home: Path | ShardStore = field(repr=False)
    shard: str = ""
    has_speech: bool = True
    """False: the clip was kept without sound, and teaches appearance only; its audio is silence."""
    list_hash: str = field(default="", repr=False)
    """SHA-256 of the list that the clip is from, see ``Dataset.fingerprint``."""

    @property
    def folder(self) -> Path:
        """Folder of the clip's files on this machine."""
        if isinstance(self.home, ShardStore):
            return self.home.clip_folder(self.shard, self.id)
        return self.home / "clips" / self.id

    @property
    def dataset(self) -> str:
        """Name of the dataset that the clip is from."""
        return (self.home.folder if isinstance(self.home, ShardStore) else self.home).name

    @property
    def cache_name(self) -> str:
        """A name for files made of the clip. No clip of another dataset has it, nor of this one when prepared anew."""
        return f"{self.dataset}-{self.id}-{self.list_hash[:8]}"

    def frames(self) -> NDArray[np.uint8]:
        """Read all crops (N, S, S, 3)."""
        from dithead.media.video import read_frames

        crops = np.stack([frame.pixels for frame in read_frames(self.folder / "crop.mp4")])
        if len(crops) != self.length:
            raise DataError(f"{self.folder}: holds {len(crops)} crops, not {self.length}; delete it and prepare again")
        return crops

    def audio(self) -> Wave:
        """Read mono samples at 16 kHz, exactly as long as the frames; silence where ``has_speech`` is false."""
        from dithead.media.audio import read_audio

        return read_audio(self.folder / "audio.flac", 16000)

    def track(self) -> Track:
        """Read landmarks, transforms, validity and mask polygon."""
        path = self.folder / "track.npz"
        require_unpacked(path, str(path), DataError)
        try:
            require_unpacked(path, str(path), DataError)
            with np.load(path, allow_pickle=False) as stored:
                return Track(*(stored[k] for k in ("landmarks", "transforms", "valid", "polygon")))
        except (OSError, ValueError, KeyError, EOFError, RuntimeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete {self.folder} and prepare again") from None

    def meta(self) -> dict[str, Any]:
        """Read the facts about the clip's origin: file, start, source size, eye distance in source pixels."""
        return dict(json.loads((self.folder / "meta.json").read_text("utf-8")))


class Dataset:
    """A folder written by ``prepare_dataset``, or a folder or URL of shards written by ``write_shards``.

    Raises:
        DataError: It is missing, unfinished or not a dataset.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = str(path)
        self._remote = RemoteFolder(self.path)
        self.config = self._read_config()
        self.entries = self._read_manifest()

    @cached_property
    def home(self) -> Path | ShardStore:
        """Folder of the dataset, or the store of its shards."""
        return ShardStore(self._remote) if self._remote.exists(SHARD_LIST) else Path(self.path)

    @cached_property
    def _clips(self) -> list[Clip]:
        for name in (str(entry.get(key, "")) for entry in self.entries for key in ("id", "shard")):
            if name in (".", "..") or set(name) & set("/\\\0"):
                raise DataError(f"{self.path}/manifest.jsonl: {name!r} is no name of a file in the dataset")
        return [
            Clip(
                id=e["id"], identity=e["identity"], split=e["split"], source=e["source"],
                licence=e["licence"], length=e["frames"], fps=e["fps"], home=self.home, shard=e.get("shard", ""),
                has_speech=e.get("has_speech", True), list_hash=self._list_hash,
            )
            for e in self.entries
            if e["status"] == "ok"
        ]  # fmt: skip

    def clips(self, split: str | None = None) -> list[Clip]:
        """Return accepted clips in a fixed order: those of ``"train"``, of ``"val"``, or all."""
        if split not in (None, "train", "val"):
            raise DataError(f"no split called {split!r}; there are train and val")
        return [clip for clip in self._clips if split in (None, clip.split)]

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes one dataset from another: its number of accepted clips and a hash of its list."""
        return {"clips": len(self._clips), "sha256": self._list_hash}

    @cached_property
    def _list_hash(self) -> str:
        settings = {name: getattr(self.config, name) for name in self._stored_names}  # none that came later
        listed = json.dumps([settings, self.entries], sort_keys=True)
        return hashlib.sha256(listed.encode()).hexdigest()

    def _read_config(self) -> PrepareConfig:
        try:
            stored = json.loads(self._remote.read_text("config.json"))
            self._stored_names = list(stored)
            return PrepareConfig.parse(stored)
        except FileNotFoundError:
            raise DataError(
                f"{self.path}: not a dataset (no config.json); make one with: dithead prepare RAW_DIR -o {self.path}"
            ) from None
        except (OSError, ValueError, AttributeError, ConfigError) as error:
            raise DataError(f"{self.path}/config.json: cannot be understood ({str(error).splitlines()[0]})") from None

    def _read_manifest(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self._remote.read_text("manifest.jsonl").splitlines() if line]
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path}/manifest.jsonl: cannot be read ({error}); run dithead prepare again to rebuild it"
            ) from None
