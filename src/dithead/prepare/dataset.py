"""Reading a prepared dataset. Letters: N frames, S crop side, K corners of the mask polygon."""

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

from dithead.errors import DataError
from dithead.prepare.settings import PrepareConfig
from dithead.prepare.shards import SHARDS, Place, ShardStore
from dithead.types import Wave


@dataclass(frozen=True)
class Track:
    """Where the face of a clip is, in crop pixels."""

    landmarks: NDArray[np.float32]  # (N, 478, 2)
    transforms: NDArray[np.float64]  # (N, 2, 3), source frame -> crop
    valid: NDArray[np.bool_]  # (N,) False where the landmarks are interpolated
    polygon: NDArray[np.float32]  # (K, 2) of the region to generate


@dataclass(frozen=True)
class Clip:
    """One accepted clip of a dataset; its files are read when asked for, and fetched first where they are packed.

    Reading raises DataError, ShardError when the clip's shard is damaged.
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

    @property
    def folder(self) -> Path:
        """Where the clip's files are on this machine."""
        if isinstance(self.home, ShardStore):
            return self.home.clip(self.shard, self.id)
        return self.home / "clips" / self.id

    @property
    def dataset(self) -> str:
        """The name of the dataset it is from."""
        return (self.home.folder if isinstance(self.home, ShardStore) else self.home).name

    def frames(self) -> NDArray[np.uint8]:
        """All crops (N, S, S, 3)."""
        from dithead.media.video import read_frames

        crops = np.stack([frame.pixels for frame in read_frames(self.folder / "crop.mp4")])
        if len(crops) != self.length:
            raise DataError(f"{self.folder}: {len(crops)} crops where {self.length} belong; prepare it again")
        return crops

    def audio(self) -> Wave:
        """Mono samples at 16 kHz, exactly as long as the frames."""
        from dithead.media.audio import read_audio

        return read_audio(self.folder / "audio.flac", 16000)

    def track(self) -> Track:
        """Landmarks, transforms, validity and mask polygon."""
        path = self.folder / "track.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return Track(*(stored[k] for k in ("landmarks", "transforms", "valid", "polygon")))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete {self.folder} and prepare again") from None

    def meta(self) -> dict[str, Any]:
        """Facts about the clip's origin: file, start, source size, eye distance in source pixels."""
        return dict(json.loads((self.folder / "meta.json").read_text("utf-8")))


class Dataset:
    """A folder written by ``prepare_dataset``, or a folder or URL of shards written by ``write_shards``.

    Raises DataError when it is missing, unfinished or not a dataset.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = str(path)
        self._place = Place(self.path)
        self.config = self._read_config()
        self.entries = self._read_manifest()

    @cached_property
    def home(self) -> Path | ShardStore:
        """Where the clips are."""
        return ShardStore(self._place) if self._place.exists(SHARDS) else Path(self.path)

    @cached_property
    def _clips(self) -> list[Clip]:
        return [
            Clip(
                id=e["id"], identity=e["identity"], split=e["split"], source=e["source"],
                licence=e["licence"], length=e["frames"], fps=e["fps"], home=self.home, shard=e.get("shard", ""),
            )
            for e in self.entries
            if e["status"] == "ok"
        ]  # fmt: skip

    def clips(self, split: str | None = None) -> list[Clip]:
        """Accepted clips in a fixed order: of ``"train"``, of ``"val"``, or all."""
        if split not in (None, "train", "val"):
            raise DataError(f"no split called {split!r}; there are train and val")
        return [clip for clip in self._clips if split in (None, clip.split)]

    def fingerprint(self) -> dict[str, Any]:
        """What shows that a dataset is another one: its number of accepted clips and a hash of what it lists."""
        settings = self.config.model_dump(exclude_unset=True)  # as stored: a later version's settings change nothing
        listed = json.dumps([settings, self.entries], sort_keys=True)
        return {"clips": len(self._clips), "sha256": hashlib.sha256(listed.encode()).hexdigest()}

    def _read_config(self) -> PrepareConfig:
        try:
            return PrepareConfig(**json.loads(self._place.read_text("config.json")))
        except FileNotFoundError:
            raise DataError(
                f"{self.path}: not a dataset (no config.json); make one with: dithead prepare RAW_DIR -o {self.path}"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{self.path}/config.json: cannot be understood ({str(error).splitlines()[0]})") from None

    def _read_manifest(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self._place.read_text("manifest.jsonl").splitlines() if line]
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path}/manifest.jsonl: cannot be read ({error}); run dithead prepare again to rebuild it"
            ) from None
