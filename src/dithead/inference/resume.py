"""Work that survives a crash: a hidden folder beside the output, removed when the output is there.

It holds what the job was, what the first pass found, and the segments encoded so far. The same command finds it
and goes on; a changed command, input or model starts afresh.
"""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dithead.errors import OutputError
from dithead.inference.analyse.first_pass import Survey
from dithead.inference.analyse.image_store import Shelf
from dithead.media.files import printable

_JOB, _SURVEY, _MOUTHS, _LOCK = "job.json", "survey.npz", "mouths.png", "lock"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WorkFolder:
    """Context manager around one job; ``job`` is everything that decides the output's bytes, as JSON values."""

    def __init__(self, output: Path, job: dict[str, Any]) -> None:
        self.output, self.job = output, job
        self.folder = output.with_name(f".{output.name[:100]}.dithead")

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = (self.folder / _LOCK).open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise OutputError(f"{printable(self.output)}: is being written by another dithead; wait for it") from None
        except OSError as error:
            raise OutputError(f"{printable(self.output)}: cannot be written ({error.strerror})") from None
        self._keep_only_this_job()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not (_resumable(error) and self.segments()):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()
        if error is not None and _no_room(error):
            raise OutputError(
                f"{printable(self.output)}: the disk is full; free some space and run the same command again, "
                "it goes on where it stopped"
            ) from None

    def segment(self, number: int) -> Path:
        """Where the packets of one segment lie, or will."""
        return self.folder / f"{number:06d}.segment"

    def state(self, number: int) -> Path:
        """Where what the sampler must remember after one segment lies, or will."""
        return self.folder / f"{number:06d}.npz"

    def features(self, voice: int | str) -> Path:
        """Where the features of one voice lie; written anew by every call."""
        return self.folder / f"voice{voice}.mel"

    def segments(self) -> list[Path]:
        """Finished segments, in order."""
        return sorted(self.folder.glob("*.segment"))

    def load_survey(self) -> Survey | None:
        path = self.folder / _SURVEY
        return Survey.load(path, Shelf(self.folder / _MOUTHS, old=True)) if path.exists() else None

    def shelf(self) -> Shelf:
        """A new one, for the pictures that the survey keeps."""
        return Shelf(self.folder / _MOUTHS)

    def save_survey(self, survey: Survey) -> None:
        survey.save(self.folder / _SURVEY)

    def _keep_only_this_job(self) -> None:
        """Empty the folder, file by known file, unless it belongs to this very job."""
        path = self.folder / _JOB
        text = json.dumps(self.job, sort_keys=True, indent=1)
        if path.exists() and path.read_text("utf-8") == text:
            return
        for old in [
            path,
            self.folder / _SURVEY,
            self.folder / _MOUTHS,
            *self.segments(),
            *self.folder.glob("[0-9]*.npz"),
            *self.folder.glob("voice*.mel"),
        ]:
            old.unlink(missing_ok=True)
        path.write_text(text, "utf-8")


def _resumable(error: BaseException | None) -> bool:
    """Whether the same command may succeed later: after an interruption or a full disk."""
    return isinstance(error, KeyboardInterrupt | SystemExit) or (error is not None and _no_room(error))


def _no_room(error: BaseException) -> bool:
    reasons = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in _NO_ROOM for e in reasons)
