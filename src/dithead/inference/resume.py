"""Keeps unfinished work in a hidden folder beside the output, so that the same call resumes after a crash.

The folder holds the job, the analysis of the first pass, and the segments encoded so far; when the output is complete,
also its result. It is removed when the result was taken. A call with other options, other inputs or another model
starts anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dithead.device import pick_dtype
from dithead.errors import DataError, OutputError, SigningError
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.serialise import load_analysis, save_analysis
from dithead.inference.metadata import synthetic_note
from dithead.inference.result import Drawings, GenerateResult
from dithead.inference.segment_files import SegmentFiles
from dithead.media.files import printable, replacing
from dithead.option_fields import option_fields
from dithead.options import SOURCE, GenerateJob

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

_JOB, _MODEL, _ANALYSIS, _IMAGES, _LOCK = "job.json", "model.json", "analysis.npz", "references.images", "lock"
_FINISHED = "finished.json"  # the result, and the state of the finished output
_OLD = ("survey.npz", "mouths.png", "references.png")  # names that earlier versions gave to these files
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def job_key(job: GenerateJob, crop: tuple[int, str]) -> dict[str, Any]:
    """Collect everything but the model that decides the output's bytes as JSON values.

    Only the very same job is resumed. Every option is part of the key, files count by their place, size and time.

    Args:
        job: The job.
        crop: Side and mask of the crops that the first pass stores.
    """
    options = {
        each.name: plain_option(getattr(job, each.name)) for each in option_fields(type(job)) if each.name != "model"
    }
    return {"options": options, "crop": list(crop), **job_inputs(job), "note": synthetic_note()}


def job_options(job: GenerateJob) -> dict[str, Any]:
    """Return the options of a job but its model as JSON values."""
    fields = option_fields(type(job))
    return {each.name: plain_option(getattr(job, each.name)) for each in fields if each.name != "model"}


def job_inputs(job: GenerateJob) -> dict[str, Any]:
    """Return which files a job reads, and their sizes and times, as JSON values."""
    inputs = {"video": Path(job.video)} | ({} if job.audio is None else {"audio": Path(job.audio)})
    background = [] if job.background_sound in (None, SOURCE) else [Path(str(job.background_sound))]
    paths = (*inputs.values(), *map(Path, (job.speakers or {}).values()), *background)
    files = {str(path.resolve()): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}
    return {"inputs": {name: str(path.resolve()) for name, path in inputs.items()}, "files": files}


def model_key(talker: TalkingHead) -> dict[str, str]:
    """Collect what decides the output's bytes about a model: its weights, its settings, and where it runs."""
    import torch

    digest = hashlib.sha256()
    for tensor in talker.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    where = {"on": str(talker.device), "auto": str(pick_dtype(talker.device))}
    return {"weights": digest.hexdigest(), "config": repr(talker.config)} | where


class WorkFolder:
    """Context manager around one job, whose ``job_key`` is ``key``; ``keep_only_from`` must be told its model."""

    def __init__(self, output: Path, key: dict[str, Any]) -> None:
        self.output, self.key = output, key
        self.folder = output.with_name(f".{output.name[:100]}.dithead")
        self.files = SegmentFiles(self.folder)

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
        if _resumable(error) and error is not None and (kept := self.kept()):
            error.add_note(kept)
        else:
            self._remove()
        self._lock.close()
        if error is not None and _no_room(error):
            raise OutputError(
                f"{printable(self.output)}: the disk is full; free some space and run the same command again, "
                "it goes on where it stopped"
            ) from None

    def kept(self) -> str:
        """Say what an interrupted job leaves for the next call; empty where that is nothing."""
        if not (self.folder / _ANALYSIS).exists():
            return ""
        frames = sum(kept["frames"] for kept in self.files.records())
        what = f"the analysis of the video and {frames} drawn frames are" if frames else "the analysis of the video is"
        return f"{printable(self.output)}: {what} kept"

    def save_finished(self, output: Path, result: GenerateResult) -> None:
        """Note the result of the complete output, which lies at ``output`` until it gets its name."""
        record = {"file": file_state(output), "result": json.loads(result.to_json())}
        with replacing(self.folder / _FINISHED) as temporary:
            temporary.write_text(json.dumps(record, ensure_ascii=False), "utf-8")

    def finished(self, key: Callable[[], dict[str, str]]) -> GenerateResult | None:
        """Return the result of an earlier call whose output is there, unchanged; None where there is none.

        Args:
            key: Returns the ``model_key``; called only where there is a result.
        """
        try:
            record = json.loads((self.folder / _FINISHED).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if record["file"] != file_state(self.output) or not self._is_from(key()):
            return None
        return GenerateResult.from_record(record["result"])

    def state(self, number: int) -> Path:
        """Return the file of the sampler's state after one segment, which need not exist yet."""
        return self.folder / f"{number:06d}.npz"

    def begin(self) -> Path:
        """Return the file of the sampler's state before this call draws anything, which need not exist yet."""
        return self.folder / "begin.npz"

    def drawings(self) -> Drawings:
        """Return what was drawn in all finished segments."""
        found = (Drawings(**kept["drawings"]) for kept in self.files.records())
        return sum(found, Drawings())

    def features(self, track: int | str) -> Path:
        """Return the file for the features of one speech track; every call computes them anew."""
        return self.folder / f"voice{track}.mel"

    def has_analysis(self) -> bool:
        """Return whether an interrupted call has left an analysis, of whichever model."""
        return (self.folder / _ANALYSIS).exists()

    def keep_only_from(self, key: dict[str, str]) -> None:
        """Remove the analysis and the segments unless they were made by the model with this ``model_key``."""
        if self._is_from(key):
            return
        path = self.folder / _MODEL
        for old in [path, self.folder / _FINISHED, self.folder / _ANALYSIS, *self._parts()]:
            old.unlink(missing_ok=True)
        path.write_text(_as_text(key), "utf-8")

    def _is_from(self, key: dict[str, str]) -> bool:
        """Whether what the folder holds was made by the model with this ``model_key``."""
        path = self.folder / _MODEL
        return path.exists() and path.read_text("utf-8") == _as_text(key)

    def load_analysis(self) -> VideoAnalysis | None:
        """Read the analysis of an interrupted call; None where there is none, or it is damaged."""
        path, images = self.folder / _ANALYSIS, self.folder / _IMAGES
        if not (path.exists() and images.exists()):
            return None
        try:
            return load_analysis(path, ImageStore(images, existing=True))
        except DataError:
            return None

    def new_store(self) -> ImageStore:
        """Make an empty store for the reference pictures of the first pass."""
        return ImageStore(self.folder / _IMAGES)

    def save_analysis(self, analysis: VideoAnalysis) -> None:
        """Write the analysis, so that a resumed call skips the first pass."""
        save_analysis(self.folder / _ANALYSIS, analysis)

    def _keep_only_this_job(self) -> None:
        """Empty the folder, known file by known file, unless it belongs to this very job."""
        path, text = self.folder / _JOB, _as_text(self.key)
        if path.exists() and path.read_text("utf-8") == text:
            return
        known = (self.folder / name for name in (_JOB, _MODEL, _FINISHED, _ANALYSIS, _IMAGES, *_OLD))
        for old in [*known, *self._parts(), *self.folder.glob("voice*.mel")]:
            old.unlink(missing_ok=True)
        path.write_text(text, "utf-8")

    def _remove(self) -> None:
        """Remove the folder; what says that the output is finished goes last."""
        for part in self._parts():
            part.unlink(missing_ok=True)
        (self.folder / _FINISHED).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _parts(self) -> list[Path]:
        """The finished segments, the states between them, and what was drawn in each."""
        return [*self.files.segments(), *self.folder.glob("[0-9]*.npz"), *self.folder.glob("[0-9]*.json")]


def _as_text(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, indent=1)


def file_state(path: Path) -> list[int] | None:
    """Return the size and the time of a file, which say whether it is as it was left; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def plain_option(value: Any) -> Any:
    """Return an option's value as JSON; files by their full path."""
    if isinstance(value, Mapping):
        return {str(key): plain_option(part) for key, part in value.items()}
    return str(Path(value).resolve()) if isinstance(value, PathLike) else value


def _resumable(error: BaseException | None) -> bool:
    """Whether the same call may succeed later: after an interruption, a full disk or a signature that failed."""
    return isinstance(error, KeyboardInterrupt | SystemExit | SigningError) or (error is not None and _no_room(error))


def _no_room(error: BaseException) -> bool:
    reasons = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in _NO_ROOM for e in reasons)
