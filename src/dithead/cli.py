"""The command line: one sub-command per step. Each parses, then imports and calls one public function.

An option that is not given is not passed on, so every default lives with the function. Exit codes: 0 done,
1 `doctor` found something broken, 2 the request cannot be met (one line on stderr says why), 130 interrupted.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from dithead.commands import measure
from dithead.commands.shared import (
    Data,
    Device,
    Init,
    Json,
    Model,
    PresetName,
    Run,
    Seed,
    TrainSteps,
    given,
    numbered,
    out,
    out_fields,
    say,
)
from dithead.errors import DitheadError

USAGE_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143


class _Commands(TyperGroup):
    """Turns named errors and Ctrl-C into one line and an exit code, for every sub-command."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DitheadError as error:
            say(" ".join(str(error).splitlines()))
            raise typer.Exit(USAGE_ERROR) from None
        except KeyboardInterrupt:
            say("interrupted; the same command resumes or starts again")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    name="dithead",
    help="Make a person in a video speak a given speech track.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train = typer.Typer(help="Train a model: the autoencoder first, then the transformer.", no_args_is_help=True)
app.add_typer(train, name="train")


@app.command()
def generate(
    video: Annotated[Path, typer.Option(help="Video (or any container with one) of the person.")],
    audio: Annotated[Path, typer.Option(help="Speech: an audio file, or a video's sound.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the new video goes.")],
    model: Model = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own number when absent.")] = None,
    seed: Seed = None,
    device: Device = None,
    reference: Annotated[str | None, typer.Option(help="Reference frame: static or previous.")] = None,
    face: Annotated[str | None, typer.Option(help="largest, left, right, all, a number, or X,Y in pixels.")] = None,
    speaker: Annotated[list[str] | None, typer.Option(help="NUMBER=AUDIO: a face's own speech; repeatable.")] = None,
    fit: Annotated[str | None, typer.Option(help="Unequal lengths: silence, cut, loop, bounce or freeze.")] = None,
    start: Annotated[float | None, typer.Option(help="Use the video from here, in seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="Use the video up to here, in seconds.")] = None,
    crf: Annotated[float | None, typer.Option(help="Quality of the one encode; smaller is better.")] = None,
    codec: Annotated[str | None, typer.Option(help="h264 or hevc.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Encode without loss.")] = False,
    idle: Annotated[bool | None, typer.Option("--idle/--no-idle", help="A picture as --video sways a little.")] = None,
    as_json: Json = False,
) -> None:
    """Make the person in a video speak a speech track."""
    from dithead.generate.pipeline import generate
    from dithead.generate.progress import terminal_progress

    with terminal_progress() as progress:
        options = given(
            model=model, steps=steps, seed=seed, device=device, reference=reference, face=face,
            speakers=numbered(speaker or []), fit=fit, start=start, end=end, crf=crf, codec=codec,
            idle=idle,
        )  # fmt: skip
        result = generate(video, audio, output, lossless=lossless, progress=progress, **options)
    if as_json:
        out(result.to_json())
        return
    out(f"{result.output}  {result.frames} frames at {result.fps:g} fps in {result.seconds:.1f} s")
    for stretch in result.passed_through:
        say(f"frames {stretch.first} to {stretch.last} passed through unchanged: {stretch.reason}")


@app.command()
def faces(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A picture, .png or .jpg.")],
) -> None:
    """Draw a still of every shot with its faces numbered, as `generate --face` and `--speaker` count them."""
    from dithead.generate.who import write_faces

    out(f"{output}  {write_faces(video, output)} faces")


@app.command()
def prepare(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of videos, searched with its sub-folders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Dataset folder; the same command resumes it.")],
    size: Annotated[int | None, typer.Option(help="Side of the aligned crop in pixels.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frame rate of the dataset.")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="Shorter clips are rejected.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Longer clips are cut.")] = None,
    sources: Annotated[Path | None, typer.Option(help="JSON: who is in which folder, which licence.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the videos come from, if SOURCES.json is silent.")] = None,
    licence: Annotated[str | None, typer.Option(help="Their licence, if SOURCES.json is silent.")] = None,
    identity: Annotated[str | None, typer.Option(help="folder (its name), file (one person each), or a name.")] = None,
    val_fraction: Annotated[float | None, typer.Option(help="Share of people held out.")] = None,
    val_identity: Annotated[list[str] | None, typer.Option(help="A person to hold out; repeatable.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
    as_json: Json = False,
) -> None:
    """Turn raw videos into a dataset of aligned face crops, landmarks and speech."""
    from dithead.prepare.pipeline import prepare_dataset

    options = given(
        size=size, fps=fps, min_seconds=min_seconds, max_seconds=max_seconds, sources=sources, source=source,
        licence=licence, identity=identity, val_fraction=val_fraction, val_identities=val_identity, workers=workers,
    )  # fmt: skip
    result = prepare_dataset(raw_dir, output, progress=not as_json, **options)
    if as_json:
        out_fields(result)
    else:
        rejected = ", ".join(f"{count} {reason}" for reason, count in result.rejected.items()) or "none"
        out(
            f"{output}  {result.clips} clips of {result.identities} people, {result.seconds / 60:.1f} min; "
            f"rejected: {rejected}"
        )


@app.command()
def synth(
    count: Annotated[int, typer.Argument(help="How many clips, each of another person.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Corpus folder; the same command resumes it.")],
    head_model: Annotated[Path, typer.Option(help="Folder of the parametric head (MakeHuman's assets).")],
    seed: Seed = None,
    size: Annotated[int | None, typer.Option(help="Side of the picture in pixels.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a clip.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frame rate.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
    identity: Annotated[Path | None, typer.Option(help="JSON of one person, instead of random people.")] = None,
    language: Annotated[str | None, typer.Option(help="An espeak-ng language, instead of a mix.")] = None,
    as_json: Json = False,
) -> None:
    """Render synthetic people who talk, with exact mouth truth."""
    from dithead.synth.corpus import synth_corpus

    options = given(
        seed=seed, size=size, seconds=seconds, fps=fps, workers=workers, identity=identity, language=language
    )
    result = synth_corpus(count, output, head_model=head_model, **options)
    if as_json:
        out_fields(result)
    else:
        out(f"{result.output}  {result.clips} clips, {result.made} of them new")


@train.command("autoencoder")
def train_autoencoder(
    data: Data,
    output: Run,
    preset: PresetName = "small",
    steps: TrainSteps = None,
    seed: Seed = None,
    device: Device = None,
    init: Init = None,
) -> None:
    """Stage one: the face autoencoder. Writes autoencoder.safetensors into the run folder."""
    from dithead.config import get_preset
    from dithead.train.autoencoder import train_autoencoder

    options = given(steps=steps, seed=seed, device=device, init=init)
    out(str(train_autoencoder(data, get_preset(preset), output, **options)))


@train.command("dit")
def train_dit(
    data: Data,
    autoencoder: Annotated[Path, typer.Option(help="Run folder of stage one.")],
    output: Run,
    preset: PresetName = "small",
    steps: TrainSteps = None,
    seed: Seed = None,
    device: Device = None,
    init: Init = None,
) -> None:
    """Stage two: the transformer and its audio encoder. Writes the model folder."""
    from dithead.config import get_preset
    from dithead.train.dit import train_dit

    options = given(steps=steps, seed=seed, device=device, init=init)
    out(str(train_dit(data, get_preset(preset), output, autoencoder, **options)))


for _command in (measure.evaluate, measure.score, measure.compare, measure.study):
    app.command()(_command)


@app.command()
def presets(as_json: Json = False) -> None:
    """List the presets that `train` takes."""
    from dithead.config import PRESETS

    if as_json:
        out(json.dumps({name: preset.model_dump(mode="json") for name, preset in PRESETS.items()}))
        return
    for name, preset in PRESETS.items():
        model, steps = preset.model, f"{preset.autoencoder.steps} + {preset.dit.steps} training steps"
        out(f"{name:<8} {model.size} px, {model.objective}, {model.dit.depth} x {model.dit.width}; {steps}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has and what is missing. Exit code 1 if `generate` cannot run."""
    from dithead.doctor import examine, healthy, show

    findings = examine()
    if as_json:
        out(json.dumps({"healthy": healthy(findings), "findings": [vars(finding) for finding in findings]}))
    else:
        show(findings)
    raise typer.Exit(0 if healthy(findings) else 1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from dithead import __version__

        out(f"dithead {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the console script."""
    signal.signal(signal.SIGTERM, _terminate)  # so that `finally` blocks clean up
    app()


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
