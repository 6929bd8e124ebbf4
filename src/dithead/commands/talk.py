"""Sub-commands that make people talk: generate, one video or a list of them, and faces, which numbers the faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dithead.commands.shared import Json, complain, given, insist, numbered, out, reports, say, takes_options
from dithead.errors import ConfigError, DitheadError
from dithead.options import BatchOptions, GenerateOptions, describe_columns
from dithead.progress import terminal_progress
from dithead.provenance.switched_off import SWITCHED_OFF

if TYPE_CHECKING:
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
        raise ConfigError("generate needs --video, --audio and --output, or --jobs; see dithead generate --help")
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
    out(f"{output}  {count} faces")


def _generate_one(video: Path, audio: Path | None, output: Path, options: dict[str, Any], as_json: bool) -> None:
    from dithead.inference.pipeline import generate

    with terminal_progress() as progress:
        result = generate(video, audio, output, progress=progress, **options)
    if as_json:
        out(result.to_json())
    else:
        out(f"{result.output}  {result.frames} frames at {result.fps:g} fps in {result.seconds:.1f} s")
    if result.credentials.sidecar is not None:
        say(f"its Content Credentials lie beside it: {result.credentials.sidecar}")
    for span in result.passed_through:
        say(f"frames {span.first} to {span.last} passed through unchanged: {span.reason}")
    for note in result.notes:
        tell = insist if note in SWITCHED_OFF else say
        tell(note if note.startswith("warning") else f"note: {note}")


def _generate_jobs(path: Path, options: dict[str, Any], as_json: bool) -> None:
    """Print a line for every row as it ends, and one error in the end if any of them failed."""
    from dithead.inference.batch import generate_batch, read_jobs, record_path

    rows, failed, skipped, told = read_jobs(path), [], 0, set[str]()
    say(f"{path}: {len(rows)} rows")
    with terminal_progress() as progress:
        for outcome in generate_batch(rows, progress=progress, record=record_path(path), **options):
            if as_json:
                out(outcome.to_json())
            for note in _newly_off(outcome.result, told):
                insist(f"note: row {outcome.row}, and perhaps others: {note}")
            if outcome.earlier is not None:
                skipped += 1
            elif outcome.result is None:
                failed.append(outcome.row)
                complain(f"row {outcome.row}: {outcome.error}")
            elif not as_json:
                result = outcome.result
                warned = "".join(f"; {note}" for note in result.notes if note.startswith("warning"))
                out(f"row {outcome.row}: {result.output}  {result.frames} frames in {result.seconds:.1f} s{warned}")
    if skipped:
        say(f"{skipped} of {len(rows)} rows were done already, with the same inputs and options; --again redoes them")
    if failed:
        one = len(failed) == 1
        which = f"row {failed[0]}" if one else f"rows {', '.join(map(str, failed))}"
        raise DitheadError(f"{path}: {len(failed)} of {len(rows)} jobs failed ({which}); the others are done")


def _newly_off(result: GenerateResult | None, told: set[str]) -> list[str]:
    """The marks that a row has without and no row before it; ``told`` remembers them."""
    new = [note for note in (result.notes if result else ()) if note in SWITCHED_OFF and note not in told]
    told.update(new)
    return new


def _speakers(entries: list[str] | None, file: Path | None) -> dict[int, Path]:
    if file is None:
        return numbered(entries or [])
    if entries:
        raise ConfigError("give --speaker or --speakers, not both")
    from dithead.inference.job_list import read_speakers

    return read_speakers(file)
