"""Manages the folder of a training run: its configuration, its checkpoint, its metrics.

It holds ``config.json`` (the settings), ``data.json`` (which data the run was begun with), ``checkpoint.pt`` (weights,
averages, optimisers, step), ``metrics.jsonl`` and ``samples/``; at the end also ``cost.json`` and ``report.html``. Of
several processes the main one writes.
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
from dithead.train.loop.earlier_runs import upgrade_checkpoint, upgrade_settings
from dithead.train.loop.loggers import Loggers
from dithead.train.loop.processes import process_group

CHECKPOINT = "checkpoint.pt"
"""The file in a run folder from which the run resumes."""


@dataclass
class RunFolder:
    """The folder of one run, begun or continued.

    Attributes:
        folder: Where the run's files are.
        config: All settings of the run; ``config["data"]`` lists its datasets.
        started: When this start of the run began, in seconds since the epoch.
        earlier: Seconds trained before this start of the run.

    Raises:
        ConfigError: The folder holds a run with other settings.
        DataError: A dataset is not the one that the run was begun with.
        OutputError: The folder cannot be written.
    """

    folder: Path
    config: dict[str, Any]
    started: float = field(default_factory=time.time)
    earlier: float = 0.0

    def __post_init__(self) -> None:
        data = _fingerprints(self.config)
        self._require_same(json.loads(json.dumps(self.config, default=str)), data)
        process_group().barrier()
        if process_group().is_main:
            try:
                (self.folder / "samples").mkdir(parents=True, exist_ok=True)
                _write_if_new(self.folder / "config.json", json.dumps(self.config, indent=2, default=str))
                _write_if_new(self.folder / "data.json", json.dumps(data, indent=2))
            except OSError as error:
                raise OutputError(f"{self.folder}: cannot be written ({error.strerror or error})") from None
        process_group().barrier()
        self.loggers = Loggers(self.folder)

    def _require_same(self, config: dict[str, Any], data: dict[str, Any]) -> None:
        stored = _read_json(self.folder / "config.json")
        if stored is not None and (changes := differences(upgrade_settings(stored), config)):
            raise ConfigError(
                f"{self.folder} holds a run with other settings ({'; '.join(changes)}); "
                "choose another -o or delete the folder"
            )
        for path, before in (_read_json(self.folder / "data.json") or {}).items():
            if path in data and before != data[path]:
                count = before.get("clips", "other") if isinstance(before, dict) else "other"
                raise DataError(
                    f"{path} has changed since {self.folder} was begun ({count} clips then, "
                    f"{data[path]['clips']} now); put it back, or begin a new run with --init {self.folder}"
                )

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint, which need not exist yet."""
        return self.folder / CHECKPOINT

    @property
    def seconds(self) -> float:
        """Seconds trained so far, over all starts."""
        return self.earlier + time.time() - self.started

    def log(self, **values: float) -> None:
        """Append one line to metrics.jsonl and pass it to the loggers."""
        if not process_group().is_main:
            return
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(self.seconds, 1), **values}) + "\n")
        self.loggers.log_metrics(values)

    def drop_metrics_after(self, step: int) -> None:
        """Remove the metrics of steps that are about to be repeated, and a line that a kill or a full disk cut off."""
        path = self.folder / "metrics.jsonl"
        if process_group().is_main and path.exists():
            lines = [line for line in path.read_text().splitlines(keepends=True) if _step_of(line) <= step]
            with replacing(path) as part:
                part.write_text("".join(lines))

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint beside its name, then rename it: a kill or a full disk leaves the last good one.

        Raises:
            OutputError: The checkpoint cannot be written.
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
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise OutputError(
                f"{part}: the checkpoint of step {state['step']} cannot be written ({reason}); the one before is "
                "whole: make room and run the same command again"
            ) from None

    def load(self) -> dict[str, Any] | None:
        """Return the last checkpoint, or None. Code in it is never unpickled.

        Raises:
            ModelError: The checkpoint is damaged.
        """
        if not self.checkpoint.exists():
            return None
        state = read_checkpoint(self.checkpoint)
        self.earlier = float(state.get("seconds", 0.0))
        return state


def _step_of(line: str) -> float:
    """Return the step of a line of metrics; infinity where the line is not whole."""
    try:
        return float(json.loads(line).get("step", 0)) if line.endswith("\n") else math.inf
    except ValueError:
        return math.inf


@contextmanager
def report_full_disk(folder: Path) -> Iterator[None]:
    """Raise OutputError with advice when the disk is full while metrics, sample sheets or reports are written."""
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
    """Read a checkpoint onto the CPU; tensors of an earlier version get the names of today.

    Raises:
        ModelError: The file is no checkpoint, or needs a part that this version no longer has.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises errors of many types
        raise ModelError(f"{path} is no checkpoint of dithead ({str(error).splitlines()[0]}); delete it") from None
    return upgrade_checkpoint(state, path)


def _fingerprints(config: dict[str, Any]) -> dict[str, Any]:
    return {str(entry["path"]): Dataset(entry["path"]).fingerprint() for entry in config.get("data", [])}


def _write_if_new(path: Path, content: str) -> None:
    """Write a file whole, and not at all where it is so already: a full disk must not ruin a run that resumes."""
    if path.exists() and path.read_text() == content:
        return
    with replacing(path) as part:
        part.write_text(content)


def _read_json(path: Path) -> Any:
    """Return the JSON object in a file; None when there is no file."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} cannot be understood; delete the folder or choose another -o")
    return content


def differences(stored: Any, wanted: Any, name: str = "") -> list[str]:
    """List the settings that differ, as ``model.dit.width 256 there, 32 now``."""
    if not (isinstance(stored, dict) and isinstance(wanted, dict)):
        return [] if stored == wanted else [f"{name} {stored} there, {wanted} now"]
    keys = sorted(stored.keys() | wanted.keys())
    return [
        line for key in keys
        for line in differences(stored.get(key, "absent"), wanted.get(key, "absent"), f"{name}.{key}".lstrip("."))
    ]  # fmt: skip
