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

from dithead.commands import measure, people, talk
from dithead.commands.shared import (
    Json,
    given,
    out,
    out_fields,
    say,
)
from dithead.commands.train import train
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
app.add_typer(train, name="train")


for _command in (talk.generate, talk.faces):
    app.command()(_command)


@app.command()
def prepare(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of videos, searched with its sub-folders.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Dataset folder; the same command resumes it.")],
    size: Annotated[int | None, typer.Option(help="Side of the aligned crop in pixels.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frame rate of the dataset.")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="Shorter clips are rejected.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Longer clips are cut.")] = None,
    correct_offset: Annotated[bool | None, typer.Option(help="Move late or early sound to where the lips are.")] = None,
    offset_confidence: Annotated[float | None, typer.Option(help="Of the sync expert, from which it is moved.")] = None,
    min_confidence: Annotated[float | None, typer.Option(help="Reject clips whose picture speaks less surely.")] = None,
    sources: Annotated[Path | None, typer.Option(help="JSON: who is in which folder, which licence.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the videos come from, if SOURCES.json is silent.")] = None,
    licence: Annotated[str | None, typer.Option(help="Their licence, if SOURCES.json is silent.")] = None,
    identity: Annotated[str | None, typer.Option(help="folder (its name), file (one person each), or a name.")] = None,
    val_fraction: Annotated[float | None, typer.Option(help="Share of people held out.")] = None,
    val_identity: Annotated[list[str] | None, typer.Option(help="A person to hold out; repeatable.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
    engine: Annotated[str | None, typer.Option(help="Where they run: local or ray (a cluster).")] = None,
    as_json: Json = False,
) -> None:
    """Turn raw videos into a dataset of aligned face crops, landmarks and speech."""
    from dithead.prepare.prepare_dataset import prepare_dataset

    options = given(
        size=size, fps=fps, min_seconds=min_seconds, max_seconds=max_seconds, correct_offset=correct_offset,
        offset_confidence=offset_confidence, min_confidence=min_confidence, sources=sources, source=source,
        licence=licence, identity=identity, val_fraction=val_fraction, val_identities=val_identity, workers=workers,
        engine=engine,
    )  # fmt: skip
    result = prepare_dataset(raw_dir, output, progress=not as_json, **options)
    if as_json:
        out_fields(result)
    else:
        rejected = ", ".join(f"{count} {reason}" for reason, count in result.rejected.items()) or "none"
        out(
            f"{output}  {result.clips} clips of {result.identities} people, {result.seconds / 60:.1f} min; "
            f"rejected: {rejected}; sound moved in {result.corrected}"
        )


@app.command()
def shard(
    dataset: Annotated[Path, typer.Argument(help="A prepared dataset's folder.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder or URL, such as s3://bucket/people.")],
    clips: Annotated[int | None, typer.Option(min=1, help="Clips in a tar.")] = None,
) -> None:
    """Pack a dataset into tar files that training reads from any place fsspec knows."""
    from dithead.prepare.shards import write_shards

    out(f"{output}  {write_shards(dataset, output, **given(clips_per_shard=clips))} shards")


for _people in (people.synth, people.voices):
    app.command()(_people)


for _measure in (measure.evaluate, measure.score, measure.compare, measure.study):
    app.command()(_measure)


@app.command()
def presets(as_json: Json = False) -> None:
    """List the presets that `train` takes: parameters, tokens, operations a frame, memory."""
    from dithead.config import PRESETS
    from dithead.train.report.model_sizes import sizes_of

    told = {name: preset.model_dump(mode="json") | {"sizes": sizes_of(preset.model).to_dict()}
            for name, preset in PRESETS.items()}  # fmt: skip
    if as_json:
        out(json.dumps(told))
        return
    for name, preset in PRESETS.items():
        out(f"{name:<6} {sizes_of(preset.model).summary(preset.model)}")


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
