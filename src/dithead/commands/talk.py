"""Sub-commands that make people talk: generate, one video or a list of them, and faces, which numbers the faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, given, numbered, out, say, takes_options
from dithead.errors import ConfigError, DitheadError
from dithead.options import GenerateOptions

Video = Annotated[Path | None, typer.Option(help="Video (or any container with one) of the person, or a picture.")]
Audio = Annotated[Path | None, typer.Option(help="Speech: an audio file, or a video's sound.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where the new video goes.")]
Jobs = Annotated[Path | None, typer.Option(help="A .csv or .jsonl of video,audio,output rows instead.")]
Speaker = Annotated[list[str] | None, typer.Option(help="NUMBER=AUDIO: a face's own speech; repeatable.")]
SpeakersFile = Annotated[
    Path | None, typer.Option("--speakers", help='The same as a JSON file: {"1": "anna.wav", ...}.')
]


@takes_options(GenerateOptions, without=("speakers",))
def generate(
    video: Video = None,
    audio: Audio = None,
    output: Output = None,
    jobs: Jobs = None,
    speaker: Speaker = None,
    speakers_file: SpeakersFile = None,
    engine: Annotated[str | None, typer.Option(help="Where --jobs run: local, or ray (a cluster).")] = None,
    workers: Annotated[int | None, typer.Option(help="How many of --jobs run at once.")] = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Make the person in a video speak a speech track; or many, listed in a file, with one model load."""
    options = given(**options, speakers=_speakers(speaker, speakers_file))
    if jobs is not None:
        if video or audio or output:
            raise ConfigError("give --jobs, or --video, --audio and --output, but not both")
        _generate_jobs(jobs, options | given(engine=engine, workers=workers), as_json)
        return
    if not (video and audio and output):
        raise ConfigError("generate needs --video, --audio and --output, or --jobs; see dithead generate --help")
    if engine or workers:
        raise ConfigError("--engine and --workers are for --jobs")
    _generate_one(video, audio, output, options, as_json)


def faces(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A picture, .png or .jpg.")],
) -> None:
    """Draw a still of every shot with its faces numbered, as `generate --face` and `--speaker` count them."""
    from dithead.inference.analyse.face_sheet import write_face_sheet

    out(f"{output}  {write_face_sheet(video, output)} faces")


def _generate_one(video: Path, audio: Path, output: Path, options: dict[str, Any], as_json: bool) -> None:
    from dithead.inference.pipeline import generate
    from dithead.inference.progress import terminal_progress

    with terminal_progress() as progress:
        result = generate(video, audio, output, progress=progress, **options)
    if as_json:
        out(result.to_json())
        return
    out(f"{result.output}  {result.frames} frames at {result.fps:g} fps in {result.seconds:.1f} s")
    if result.credentials.sidecar is not None:
        say(f"its Content Credentials lie beside it: {result.credentials.sidecar}")
    for span in result.passed_through:
        say(f"frames {span.first} to {span.last} passed through unchanged: {span.reason}")
    for note in result.notes:
        say(f"note: {note}")


def _generate_jobs(path: Path, options: dict[str, Any], as_json: bool) -> None:
    """Print a line for every row as it ends, and one error in the end if any of them failed."""
    from dithead.inference.batch import generate_batch, read_jobs
    from dithead.inference.progress import terminal_progress

    rows, failed = read_jobs(path), []
    with terminal_progress() as progress:
        for outcome in generate_batch(rows, progress=progress, **options):
            if as_json:
                out(outcome.to_json())
            elif outcome.result is not None:
                out(f"row {outcome.row}: {outcome.result.output}  {outcome.result.frames} frames")
            if outcome.result is None:
                failed.append(outcome.row)
                say(f"row {outcome.row}: {outcome.error}")
    if failed:
        raise DitheadError(f"{path}: {len(failed)} of {len(rows)} jobs failed: rows {', '.join(map(str, failed))}")


def _speakers(entries: list[str] | None, file: Path | None) -> dict[int, Path]:
    if file is None:
        return numbered(entries or [])
    if entries:
        raise ConfigError("give --speaker or --speakers, not both")
    from dithead.inference.job_list import read_speakers

    return read_speakers(file)
