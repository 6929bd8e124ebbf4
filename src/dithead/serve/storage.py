"""Lays out the data folder: one folder for each upload and each job, named by an id that no request can choose."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dithead.errors import OutputError
from dithead.media.files import printable

_ID = re.compile(r"[0-9a-f]{24}")


def new_id() -> str:
    """Return an id that cannot be guessed: 96 random bits in hexadecimal."""
    return secrets.token_hex(12)


def is_id(text: str) -> bool:
    """Return whether a text has the form of an id, and so is safe as the name of a folder."""
    return _ID.fullmatch(text) is not None


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, which outlives the first one. Raises FileNotFoundError where it is gone."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links, or a file of another one
        shutil.copy2(source, target)


class Storage:
    """The data folder. Every path is made from an id, never from a name that a request gives."""

    def __init__(self, data: Path) -> None:
        """Make the folder, readable by its owner only.

        Raises:
            OutputError: The folder cannot be made or written.
        """
        self.data = data.resolve()
        try:
            for folder in (self.data, self.data / "uploads", self.data / "jobs", self.data / "workers"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{printable(data)}: cannot be used as data folder ({error.strerror})") from None

    def upload(self, upload_id: str) -> Path:
        """Return the folder of an upload, which need not exist."""
        return self._folder("uploads", upload_id)

    def job(self, job_id: str) -> Path:
        """Return the folder of a job, which need not exist."""
        return self._folder("jobs", job_id)

    def worker_lock(self, name: str) -> Path:
        """Return the file that a running worker of this name holds locked."""
        return self.data / "workers" / (re.sub(r"[^\w.-]", "_", name)[:100] + ".lock")

    def ids(self, kind: str) -> Iterator[str]:
        """Yield the ids of all folders of a kind, ``uploads`` or ``jobs``."""
        yield from (folder.name for folder in (self.data / kind).iterdir() if is_id(folder.name))

    def remove(self, folder: Path) -> int:
        """Remove the folder of a job or an upload; return the bytes that it held."""
        size = folder_size(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return size

    def free_bytes(self) -> int:
        """Return how many bytes are free on the data folder's disk."""
        return shutil.disk_usage(self.data).free

    def _folder(self, kind: str, name: str) -> Path:
        assert is_id(name), "only ids that this file made may become paths"
        return self.data / kind / name


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder, each counted once however many names it has."""
    files: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = Path(place, name).lstat()
            except FileNotFoundError:
                continue
            files[found.st_ino] = found.st_size
    return sum(files.values())


def write_json(path: Path, value: Any) -> None:
    """Write a small JSON file, which appears whole or not at all; it survives the death of the process."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a small JSON file; None where there is none or it is damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
