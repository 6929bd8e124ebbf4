"""Sub-commands that make people talk: generate, one video or a list of them, and faces, which numbers the faces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dithead.commands.shared import (
    Json,
    complain,
    given,
    insist,
    numbered,
    out,
    remark,
    reports,
    say,
    takes_options,
)
from dithead.errors import ConfigError, DitheadError
from dithead.options import BatchOptions, GenerateOptions, describe_columns
from dithead.progress import plural, terminal_progress
from dithead.provenance.switched_off import SWITCHED_OFF

if TYPE_CHECKING:
    from dithead.inference.batch import JobOutcome
    from dithead.inference.result import GenerateResult

Video = Annotated[
    Path | None,
    typer.Option(help="Video (or any container with one) of the person, or a picture.", metavar="FILE"),
]
Audio = Annotated[
    Path | None,
    typer.Option(help="Speech: an audio file, or a video's sound. With --speaker it may be left out.", metavar="FILE"),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Where the new video goes: .mp4, .m4v, .mov or .mkv.", metavar="FILE"),
]
Jobs = Annotated[
    Path | None, typer.Option(help="A list of many videos instead; its columns are described below.", metavar="FILE")
]
Speaker = Annotated[
    list[str] | None,
    typer.Option(help="Speech of its own for a numbered face; repeatable.", metavar="NUMBER=FILE"),
]
SpeakersFile = Annotated[
    Path | None,
    typer.Option("--speakers", help='The same as a JSON file: {"1": "anna.wav", ...}.', metavar="FILE"),
]
_BATCH = ("engine", "workers", "again")


@reports
@takes_options(BatchOptions)
@takes_options(GenerateOptions, without=("speakers",))
def generate(
    video: Video = None,
    audio: Audio = None,
    output: Output = None,
    jobs: Jobs = None,
    speaker: Speaker = None,
    speakers_file: SpeakersFile = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Make the person in a video speak a speech track; or many, listed in a file, with one model load."""
    batch = given(**{name: options.pop(name, None) for name in _BATCH})
    options = given(**options, speakers=_speakers(speaker, speakers_file))
    if jobs is not None:
        if video or audio or output:
            raise ConfigError("give --jobs, or --video, --audio and --output, but not both")
        _generate_jobs(jobs, options | batch, as_json)
        return
    if not (video and output and (audio or options.get("speakers"))):
        present = {"--video": video, "--audio": audio or options.get("speakers"), "--output": output}
        missing = " and ".join(name for name, value in present.items() if not value)
        raise ConfigError(
            f"generate needs --video, --audio (or --speaker) and --output, or --jobs; not given: {missing}; "
            "see dithead generate --help"
        )
    if batch:
        raise ConfigError(f"{' and '.join(f'--{name}' for name in batch)} is for --jobs")
    _generate_one(video, audio, output, options, as_json)


generate.epilog = describe_columns()  # type: ignore[attr-defined]  # the command line shows it below the options


@reports
def faces(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A picture, .png or .jpg.", metavar="FILE")],
) -> None:
    """Draw a still of every shot with its faces numbered, as `generate --face` and `--speaker` count them."""
    from dithead.inference.analyse.face_sheet import write_face_sheet

    with terminal_progress() as progress:
        count = write_face_sheet(video, output, progress=progress)
    out(f"{output}  {plural(count, 'face')}")


def _generate_one(video: Path, audio: Path | None, output: Path, options: dict[str, Any], as_json: bool) -> None:
    from dithead.inference.pipeline import generate

    with terminal_progress() as progress:
        result = generate(video, audio, output, progress=progress, **options)
    if as_json:
        out(result.to_json())
    else:
        out(_summary(result))
    if result.credentials.sidecar is not None:
        say(f"its Content Credentials lie beside it: {result.credentials.sidecar}")
    for note in result.notes:
        remark(note, always=note in SWITCHED_OFF)


def _generate_jobs(path: Path, options: dict[str, Any], as_json: bool) -> None:
    """Print a line for every row as it ends, and one error in the end if any of them failed."""
    from dithead.inference.batch import generate_batch, read_jobs, record_path

    rows, ended = read_jobs(path), _Ended(as_json)
    say(f"{path}: {plural(len(rows), 'row')}")
    with terminal_progress() as progress:
        for outcome in generate_batch(rows, progress=progress, record=record_path(path), **options):
            ended.add(outcome)
    ended.conclude(path, len(rows))


class _Ended:
    """The rows of a list that have ended, each of which is printed."""

    def __init__(self, as_json: bool) -> None:
        self.as_json, self.failed, self.skipped = as_json, list[int](), 0
        self.noted: Counter[str] = Counter()

    def add(self, outcome: JobOutcome) -> None:
        """Print what came of a row."""
        if self.as_json:
            out(outcome.to_json())
        if outcome.earlier is not None:
            self.skipped += 1
        elif outcome.result is None:
            self.failed.append(outcome.row)
            complain(f"row {outcome.row}: {outcome.error}")
        else:
            if not self.as_json:
                out(f"row {outcome.row}: {_summary(outcome.result)}")
            _row_notes(outcome.row, outcome.result.notes, self.noted)

    def conclude(self, path: Path, rows: int) -> None:
        """Print the counts. Raises DitheadError where rows failed."""
        for note, count in self.noted.items():
            if count > 1:
                remark(f"{note} (so in {count} rows)")
        if self.skipped:
            done = f"of {plural(rows, 'row')}, {self.skipped} {'was' if self.skipped == 1 else 'were'} done already"
            say(f"{done}, with the same inputs and options; --again redoes them")
        if self.failed:
            which = f"row{'s' if len(self.failed) > 1 else ''} {', '.join(map(str, self.failed))}"
            rest = "; the others are done" if len(self.failed) < rows else ""
            raise DitheadError(f"{path}: {len(self.failed)} of {plural(rows, 'row')} failed ({which}){rest}")


def _summary(result: GenerateResult) -> str:
    return f"{result.output}  {result.frames} frames at {result.fps:g} fps in {result.seconds:.1f} s"


def _row_notes(row: int, notes: list[str], noted: Counter[str]) -> None:
    """Print what a row leaves out; what an earlier row said in the same words is counted for the end of the list."""
    for note in notes:
        noted[note] += 1
        if noted[note] == 1 or note.startswith("warning"):
            tell = insist if note in SWITCHED_OFF else say
            tell(f"row {row}: {note}")


def _speakers(entries: list[str] | None, file: Path | None) -> dict[int, Path]:
    if file is None:
        return numbered(entries or [])
    if entries:
        raise ConfigError("give --speaker or --speakers, not both")
    from dithead.inference.job_list import read_speakers

    return read_speakers(file)
