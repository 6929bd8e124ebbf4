"""Finds the files that a job names, uploads or files of allowed folders, and gives the job its own names for them.

A request never names a path of the disk: an upload goes by its id, a file by the name of an allowed folder and a path
below it, which is followed to its end and must still lie inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from dithead.errors import ConfigError, OutputError
from dithead.serve.content_check import Media
from dithead.serve.errors import not_found
from dithead.serve.inspector import Inspector
from dithead.serve.keys import Owner
from dithead.serve.options import ServeOptions
from dithead.serve.schemas import FileReference, JobRequest
from dithead.serve.storage import Storage, link_or_copy
from dithead.serve.uploads import CONTENT, UploadStore


@dataclass(frozen=True)
class Input:
    """A file that a job reads.

    Attributes:
        path: Where it lies: below the job's folder, or the full path of a file of an allowed folder.
        name: What the client calls it.
        media: What it holds.
    """

    path: str
    name: str
    media: dict[str, object]

    def inside(self, folder: Path) -> Path:
        """Return the full path, for the job that has this folder."""
        return folder / self.path


@dataclass(frozen=True)
class Found:
    """A file that a request names: the file itself, and what the job will know of it."""

    source: Path
    link: str  # its name in the job's folder; empty where the job reads it in place
    name: str
    media: Media

    def place(self, folder: Path) -> Input:
        """Give an upload a second name in the job's folder, so that it outlives the upload.

        Raises:
            ApiError: The upload was deleted in the meantime.
            OutputError: The folder takes no file.
        """
        if self.link:
            try:
                link_or_copy(self.source, folder / self.link)
            except FileNotFoundError:
                raise not_found("upload") from None
            except OSError as error:
                raise OutputError(f"{self.name}: cannot be kept ({error.strerror}); try again later") from None
        return Input(self.link or str(self.source), self.name, asdict(self.media))


class InputFinder:
    """Finds files by the references of requests."""

    def __init__(self, options: ServeOptions, storage: Storage, uploads: UploadStore, inspector: Inspector) -> None:
        self.storage, self.uploads, self.inspector = storage, uploads, inspector
        self.folders = {folder.resolve().name: folder.resolve() for folder in options.folders}

    def find(self, owner: Owner, request: JobRequest) -> dict[str, Found]:
        """Find every file of a request: ``video``, ``audio``, and ``speaker 1`` and so on.

        Raises:
            ApiError: There is no such upload.
            ConfigError: A file cannot be what the job wants of it.
            MediaError: A file of a folder cannot be read.
        """
        wanted = {"video": request.video}
        wanted |= {} if request.audio is None else {"audio": request.audio}
        wanted |= {f"speaker {number}": speech for number, speech in request.speakers.items()}
        if isinstance(request.background_sound, FileReference):
            wanted["background_sound"] = request.background_sound
        found = {role: self._find(owner, role, reference) for role, reference in wanted.items()}
        for role, file in found.items():
            _check_use(role, file)
        return found

    def person(self, owner: Owner, reference: FileReference) -> Found:
        """Find the video or the picture of a live conversation. Raises what ``find`` does."""
        found = self._find(owner, "video", reference)
        _check_use("video", found)
        return found

    def _find(self, owner: Owner, role: str, reference: FileReference) -> Found:
        if reference.upload is not None:
            name, media = self.uploads.finished(owner, reference.upload)
            source = self.storage.upload(reference.upload) / CONTENT
            return Found(source, "in_" + role.replace(" ", "_"), name, media)
        source = self._in_folder(str(reference.file))
        return Found(source, "", source.name, self.inspector.inspect(source, str(reference.file)))

    def _in_folder(self, text: str) -> Path:
        """The file of an allowed folder; the same line whether it is forbidden or missing."""
        first, *rest = PurePosixPath(text).parts or ("",)
        folder = self.folders.get(first)
        refused = ConfigError(f"{text!r}: no file of an allowed folder; name it as FOLDER/FILE, see /v1/info")
        if folder is None or not rest or "\0" in text:
            raise refused
        try:
            path = folder.joinpath(*rest).resolve()
            is_there = path.is_relative_to(folder) and path.is_file()
        except (OSError, RuntimeError):  # a name that no disk takes, or links in a circle
            raise refused from None
        if not is_there:
            raise refused
        return path


def _check_use(role: str, file: Found) -> None:
    if role == "video" and file.media.kind == "audio":
        raise ConfigError(f"{file.name}: has no video; give a file with a picture")
    if role != "video" and not file.media.has_audio:
        raise ConfigError(f"{file.name}: has no audio track; give a file with speech")


def names_of(inputs: Mapping[str, Input], folder: Path) -> dict[Path, str]:
    """Return the client's name of each input, for error messages."""
    return {each.inside(folder): each.name for each in inputs.values()}


def inputs_of(stored: Mapping[str, Mapping[str, object]]) -> dict[str, Input]:
    """Read the inputs that a row of the table of jobs holds."""
    return {role: Input(**entry) for role, entry in stored.items()}  # type: ignore[arg-type]
