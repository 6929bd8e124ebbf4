"""Says of a file what marks it carries, whether it is as it was signed, and what was redrawn where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from dithead.errors import DitheadError, MediaError
from dithead.media.files import printable, require_file
from dithead.media.video import probe
from dithead.option_values import file_name
from dithead.progress import Progress, silent
from dithead.provenance.media_types import KNOWN_SUFFIXES
from dithead.provenance.read_credentials import CredentialsFinding, read_credentials
from dithead.provenance.watermark_finding import WatermarkFinding, find_watermark

Verdict = Literal["intact", "altered", "unmarked", "unreadable"]
EXIT_CODES: dict[str, int] = {"intact": 0, "unmarked": 1, "unreadable": 2, "altered": 3}
"""Exit code of the command for each verdict; of several files, the first in this order decides: 2, 3, 1, 0."""
_WORST_FIRST = ("unreadable", "altered", "unmarked", "intact")


@dataclass(frozen=True)
class VerifyResult:
    """What was found in one file.

    verdict: ``intact``, it carries credentials that hold; ``altered``, it carries a mark, but was changed since, or
    lost its credentials; ``unmarked``; ``unreadable``, see ``error``.
    """

    file: Path
    verdict: Verdict
    credentials: CredentialsFinding = field(default_factory=lambda: CredentialsFinding("none"))
    watermark: WatermarkFinding | None = None  # None: not searched
    comment: str = ""  # what the file's own metadata say of artificial intelligence, which anybody can write
    error: str = ""

    @property
    def is_synthetic(self) -> bool | None:
        """True: a mark says that a model made all or parts of it; None: nothing says so, which proves nothing."""
        return True if self.has_watermark or any(step.is_synthetic for step in self.credentials.steps) else None

    @property
    def has_watermark(self) -> bool:
        """Whether the invisible watermark was found."""
        return self.watermark is not None and self.watermark.found

    @property
    def is_contradicted(self) -> bool:
        """Whether the credentials hold, but say nothing of what the watermark shows: that mouths were redrawn."""
        said = any(step.is_synthetic for step in self.credentials.steps)
        return self.has_watermark and self.credentials.holds and not said

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self) | {"file": str(self.file), "synthetic": self.is_synthetic}


def verify(file: str | PathLike[str], *, watermark: bool = True, progress: Progress = silent) -> VerifyResult:
    """Read the marks of one file: its Content Credentials, the invisible watermark, and its metadata.

    Args:
        file: A video, a picture or a sound, made by any tool.
        watermark: Search the picture for the invisible watermark, too: all of it is decoded two to four times.
        progress: Called with what is being done, the frames done, and None.

    Returns:
        What was found; ``verdict`` is the short answer.

    Raises:
        MediaError: The file cannot be read or is no media file.
        ConfigError: The configuration of trust is wrong.
    """
    path = Path(file_name("file", file))
    require_file(path)
    credentials = read_credentials(path)
    comment = _comment(path, must_be_media=credentials.state == "none")
    found = find_watermark(path, progress) if watermark else None
    return VerifyResult(path, _verdict(credentials, found), credentials, found, comment)


def verify_all(
    paths: Iterable[str | PathLike[str]], *, watermark: bool = True, progress: Progress = silent
) -> Iterator[VerifyResult]:
    """Read the marks of many files; of folders, all media files in them.

    Args:
        paths: Files and folders.
        watermark: See ``verify``.
        progress: See ``verify``.

    Yields:
        A result for each file, in order; a file that cannot be read has the verdict ``unreadable``.
    """
    for path in map(Path, paths):
        files = sorted(_media_files(path)) if path.is_dir() else [path]
        if not files:
            yield VerifyResult(path, "unreadable", error=f"{printable(path)}: the folder holds no media file")
        for file in files:
            try:
                yield verify(file, watermark=watermark, progress=progress)
            except MediaError as error:
                yield VerifyResult(file, "unreadable", error=str(error))


def exit_code(verdicts: Iterable[str]) -> int:
    """Return the exit code for several files: 2 if one is unreadable, else 3, else 1, else 0."""
    given = set(verdicts)
    return next((EXIT_CODES[verdict] for verdict in _WORST_FIRST if verdict in given), EXIT_CODES["unreadable"])


def _verdict(credentials: CredentialsFinding, watermark: WatermarkFinding | None) -> Verdict:
    if credentials.holds:
        return "intact"
    if credentials.state != "none" or (watermark is not None and watermark.found):
        return "altered"
    return "unmarked"


def _media_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in KNOWN_SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def _comment(path: Path, *, must_be_media: bool) -> str:
    """The file's comment where it speaks of artificial intelligence. Raises MediaError for what is no media file."""
    try:
        tags = _tags(path)
    except DitheadError:
        if must_be_media:
            raise
        return ""
    text = next((value for name, value in tags.items() if name.lower() == "comment"), "")
    words = "".join(c if c.isprintable() else " " for c in text)[:500]
    return words if "ai-generated" in words.lower() else ""


def _tags(path: Path) -> dict[str, str]:
    try:
        return probe(path).metadata
    except MediaError as error:
        from dithead.media.sound_header import sound_header

        try:
            sound_header(path)
        except MediaError:
            raise error from None
        return {}
