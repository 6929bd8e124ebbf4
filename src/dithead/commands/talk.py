"""Sub-commands that make people talk: generate, one video or a list of them, and faces, which says who is who."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Device, Json, Model, Seed, given, numbered, out, say
from dithead.errors import ConfigError, DitheadError

Video = Annotated[Path | None, typer.Option(help="Video (or any container with one) of the person, or a picture.")]
Audio = Annotated[Path | None, typer.Option(help="Speech: an audio file, or a video's sound.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where the new video goes.")]
Speaker = Annotated[list[str] | None, typer.Option(help="NUMBER=AUDIO: a face's own speech; repeatable.")]


def generate(
    video: Video = None,
    audio: Audio = None,
    output: Output = None,
    jobs: Annotated[Path | None, typer.Option(help="A .csv or .jsonl of video,audio,output rows instead.")] = None,
    model: Model = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own number when absent.")] = None,
    seed: Seed = None,
    device: Device = None,
    reference: Annotated[str | None, typer.Option(help="Reference frame: static or previous.")] = None,
    face: Annotated[str | None, typer.Option(help="largest, left, right, all, a number, or X,Y in pixels.")] = None,
    speaker: Speaker = None,
    speakers: Annotated[Path | None, typer.Option(help='The same as JSON: {"1": "anna.wav", ...}.')] = None,
    fit: Annotated[str | None, typer.Option(help="Unequal lengths: silence, cut, loop, bounce or freeze.")] = None,
    start: Annotated[float | None, typer.Option(help="Use the video from here, in seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="Use the video up to here, in seconds.")] = None,
    crf: Annotated[float | None, typer.Option(help="Quality of the one encode; smaller is better.")] = None,
    codec: Annotated[str | None, typer.Option(help="h264 or hevc.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Encode without loss.")] = False,
    idle: Annotated[bool | None, typer.Option("--idle/--no-idle", help="A picture as --video sways a little.")] = None,
    occlusion: Annotated[str | None, typer.Option(help="auto keeps hands and things before the mouth; off.")] = None,
    interpolate: Annotated[bool, typer.Option("--interpolate", help="Draw every second mouth: steadier.")] = False,
    detail: Annotated[
        bool | None, typer.Option("--detail/--no-detail", help="Skin and teeth from other frames.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Where --jobs run: local, or ray (a cluster).")] = None,
    workers: Annotated[int | None, typer.Option(help="How many of --jobs run at once.")] = None,
    as_json: Json = False,
) -> None:
    """Make the person in a video speak a speech track; or many, listed in a file, with one model load."""
    settings = given(
        steps=steps, seed=seed, reference=reference, face=face, speakers=_voices(speaker, speakers), fit=fit,
        start=start, end=end, crf=crf, codec=codec, idle=idle,
        occlusion=occlusion, interpolate=interpolate or None, detail=detail,
    )  # fmt: skip
    settings |= given(model=model, device=device) | {"lossless": lossless}
    if jobs is not None:
        if video or audio or output:
            raise ConfigError("give --jobs, or --video, --audio and --output, but not both")
        _generate_jobs(jobs, settings | given(engine=engine, workers=workers), as_json)
        return
    if not (video and audio and output):
        raise ConfigError("generate needs --video, --audio and --output, or --jobs; see dithead generate --help")
    if engine or workers:
        raise ConfigError("--engine and --workers are for --jobs")
    _generate_one(video, audio, output, settings, as_json)


def faces(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A picture, .png or .jpg.")],
) -> None:
    """Draw a still of every shot with its faces numbered, as `generate --face` and `--speaker` count them."""
    from dithead.inference.analyse.face_sheet import write_face_sheet

    out(f"{output}  {write_face_sheet(video, output)} faces")


def _generate_one(video: Path, audio: Path, output: Path, settings: dict[str, Any], as_json: bool) -> None:
    from dithead.inference.pipeline import generate
    from dithead.inference.progress import terminal_progress

    with terminal_progress() as progress:
        result = generate(video, audio, output, progress=progress, **settings)
    if as_json:
        out(result.to_json())
        return
    out(f"{result.output}  {result.frames} frames at {result.fps:g} fps in {result.seconds:.1f} s")
    for stretch in result.passed_through:
        say(f"frames {stretch.first} to {stretch.last} passed through unchanged: {stretch.reason}")


def _generate_jobs(path: Path, settings: dict[str, Any], as_json: bool) -> None:
    """Print a line for every row as it ends; one error in the end if any of them failed."""
    from dithead.inference.batch import generate_batch, read_jobs
    from dithead.inference.progress import terminal_progress

    rows, failed = read_jobs(path), []
    with terminal_progress() as progress:
        for outcome in generate_batch(rows, progress=progress, **settings):
            if as_json:
                out(outcome.to_json())
            elif outcome.result is not None:
                out(f"row {outcome.row}: {outcome.result.output}  {outcome.result.frames} frames")
            if outcome.result is None:
                failed.append(outcome.row)
                say(f"row {outcome.row}: {outcome.error}")
    if failed:
        raise DitheadError(f"{path}: {len(failed)} of {len(rows)} jobs failed: rows {', '.join(map(str, failed))}")


def _voices(entries: list[str] | None, file: Path | None) -> dict[int, Path]:
    if file is None:
        return numbered(entries or [])
    if entries:
        raise ConfigError("give --speaker or --speakers, not both")
    from dithead.inference.job_list import read_speakers

    return read_speakers(file)
