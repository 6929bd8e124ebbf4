"""A run's folder: its configuration, its checkpoint that is whole or not there, its numbers.

``config.json``, ``data.json`` (which data it was begun with), ``checkpoint.pt`` (weights, averages, optimiser, step),
``metrics.jsonl``, ``samples/``; at the end ``cost.json`` and ``report.html``. Of several processes the leading one
writes.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dithead.errors import ConfigError, DataError, ModelError, OutputError
from dithead.media.files import replacing
from dithead.prepare.dataset import Dataset
from dithead.train.loop.loggers import Loggers
from dithead.train.loop.processes import team


@dataclass
class Run:
    """A run folder.

    Raises ConfigError when it holds a run with another configuration, DataError when a dataset of ``config["data"]``
    is not the one the run was begun with, OutputError when it cannot be written.
    """

    folder: Path
    config: dict[str, Any]
    started: float = field(default_factory=time.time)
    earlier: float = 0.0
    """Seconds trained before this start of the run."""

    def __post_init__(self) -> None:
        data = _fingerprints(self.config)
        self._require_same(json.loads(json.dumps(self.config, default=str)), data)
        team().wait()
        if team().leads:
            try:
                (self.folder / "samples").mkdir(parents=True, exist_ok=True)
                (self.folder / "config.json").write_text(json.dumps(self.config, indent=2, default=str))
                (self.folder / "data.json").write_text(json.dumps(data, indent=2))
            except OSError as error:
                raise OutputError(f"{self.folder}: cannot be written ({error.strerror or error})") from None
        team().wait()
        self.watchers = Loggers(self.folder)

    def _require_same(self, config: dict[str, Any], data: dict[str, Any]) -> None:
        stored = _read(self.folder / "config.json")
        if stored is not None and stored != config:
            what = "; ".join(differences(stored, config)) or "their order"
            raise ConfigError(
                f"{self.folder} holds a run with other settings ({what}); choose another -o or delete the folder"
            )
        for path, told in (_read(self.folder / "data.json") or {}).items():
            if path in data and told != data[path]:
                raise DataError(
                    f"{path} has changed since {self.folder} was begun ({told['clips']} clips then, "
                    f"{data[path]['clips']} now); put it back, or begin a new run with --init {self.folder}"
                )

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def seconds(self) -> float:
        """Trained so far, over all starts."""
        return self.earlier + time.time() - self.started

    def log(self, **values: float) -> None:
        """Append one line to metrics.jsonl, and tell whoever watches."""
        if not team().leads:
            return
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(self.seconds, 1), **values}) + "\n")
        self.watchers.numbers(values)

    def forget_after(self, step: int) -> None:
        """Drop numbers of steps that are about to be done again, and a line that a kill or a full disk cut off."""
        path = self.folder / "metrics.jsonl"
        if team().leads and path.exists():
            lines = [line for line in path.read_text().splitlines(keepends=True) if _step_of(line) <= step]
            with replacing(path) as part:
                part.write_text("".join(lines))

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint beside its name, then rename: a kill or a full disk leaves the last good one.

        Raises OutputError when it cannot be written.
        """
        part = self.checkpoint.with_suffix(".part")
        try:
            with part.open("wb") as file:
                torch.save({**state, "seconds": self.seconds}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.checkpoint)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            part.unlink(missing_ok=True)
            why = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise OutputError(
                f"{part}: the checkpoint of step {state['step']} cannot be written ({why}); the one before is whole: "
                "make room and run the same command again"
            ) from None

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None. Never unpickles code. Raises ModelError when it is damaged."""
        if not self.checkpoint.exists():
            return None
        state = read_checkpoint(self.checkpoint)
        self.earlier = float(state.get("seconds", 0.0))
        return state


def _step_of(line: str) -> float:
    """The step of a line of numbers; infinite where it is not whole."""
    try:
        return float(json.loads(line).get("step", 0)) if line.endswith("\n") else math.inf
    except ValueError:
        return math.inf


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """A disk that is full while numbers, sheets or pages are written is told as OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OutputError(
            f"{error.filename or folder}: {error.strerror}; the last checkpoint is whole: make room and run the same "
            "command again"
        ) from None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content. Raises ModelError when it is none."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises whatever its readers trip over
        raise ModelError(f"{path} is no checkpoint of dithead ({str(error).splitlines()[0]}); delete it") from None
    return state


def _fingerprints(config: dict[str, Any]) -> dict[str, Any]:
    return {str(entry["path"]): Dataset(entry["path"]).fingerprint() for entry in config.get("data", [])}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigError(f"{path} cannot be understood; delete the folder or choose another -o") from None


def differences(stored: Any, wanted: Any, name: str = "") -> list[str]:
    """Settings that differ, as ``model.dit.width 256 there, 32 now``."""
    if not (isinstance(stored, dict) and isinstance(wanted, dict)):
        return [] if stored == wanted else [f"{name} {stored} there, {wanted} now"]
    keys = sorted(stored.keys() | wanted.keys())
    return [
        line for key in keys
        for line in differences(stored.get(key, "absent"), wanted.get(key, "absent"), f"{name}.{key}".lstrip("."))
    ]  # fmt: skip
