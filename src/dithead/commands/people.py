"""Sub-commands that make material to train on and to test with: synth and voices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, Seed, given, out, out_fields
from dithead.errors import ConfigError

Engine = Annotated[str | None, typer.Option(help="Where they run: local or ray (a cluster).")]
HEAD = typer.Option(envvar="DITHEAD_HEAD_MODEL", help="Folder of the parametric head (MakeHuman's assets).")
Workers = Annotated[int | None, typer.Option(help="Processes.")]


def synth(
    output: Annotated[Path, typer.Option("--output", "-o", help="Corpus folder; the same command resumes it.")],
    count: Annotated[int | None, typer.Argument(help="How many clips, each of another person.")] = None,
    number: Annotated[int | None, typer.Option("-n", help="The same as COUNT.")] = None,
    head_model: Annotated[Path | None, HEAD] = None,
    seed: Seed = None,
    size: Annotated[int | None, typer.Option(help="Side of the picture in pixels.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a clip.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frame rate.")] = None,
    workers: Workers = None,
    engine: Engine = None,
    identity: Annotated[Path | None, typer.Option(help="JSON of one person, instead of random people.")] = None,
    language: Annotated[str | None, typer.Option(help="An espeak-ng language, instead of a mix.")] = None,
    speech: Annotated[Path | None, typer.Option(help="Folder of recordings to speak, instead of espeak-ng.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Tell also what each pixel shows.")] = False,
    rest: Annotated[bool, typer.Option("--rest", help="Also the same pictures with the mouth at rest.")] = False,
    without: Annotated[list[str] | None, typer.Option(help="A feature to leave out; repeatable.")] = None,
    skin_from: Annotated[Path | None, typer.Option(help="A prepared dataset whose people's skins are worn.")] = None,
    hard: Annotated[bool, typer.Option("--hard", help="One clip of each hard case instead, for tests.")] = False,
    as_json: Json = False,
) -> None:
    """Render synthetic people who talk, with exact mouth truth."""
    if head_model is None:
        raise ConfigError(
            "no head model; pass --head-model DIR, a folder with MakeHuman's assets, or set DITHEAD_HEAD_MODEL"
        )
    if None not in (count, number):
        raise ConfigError("say how many clips once: COUNT or -n COUNT")
    count = number if count is None else count
    shared = given(seed=seed, size=size, seconds=seconds)
    other = given(fps=fps, workers=workers, engine=engine, identity=identity, language=language, without=without,
                  speech=speech)  # fmt: skip
    other |= given(labels=labels or None, rest=rest or None, skin_from=skin_from)
    if hard:
        _hard_cases(count, output, head_model, shared, other, as_json)
        return
    from dithead.synth.corpus.people import synth_corpus

    if skin_from:
        from dithead.prepare.dataset import Dataset

        other["skin_from"] = Dataset(skin_from).clips()
    result = synth_corpus(count, output, head_model=head_model, **shared, **other)
    if as_json:
        out_fields(result)
    else:
        out(f"{result.output}  {result.clips} clips, {result.made} of them new")


def _hard_cases(
    count: int | None, output: Path, head_model: Path, shared: dict[str, Any], other: dict[str, Any], as_json: bool
) -> None:
    if count is not None or other:
        what = ", ".join(["count"] * (count is not None) + [f"--{name}" for name in other])
        raise ConfigError(f"--hard makes one clip of each case, with labels; it takes no {what}")
    from dithead.synth.corpus.hard_cases import HardResult, synth_hard_cases

    folders = synth_hard_cases(output, head_model=head_model, **shared)
    result = HardResult(output, [folder.name for folder in folders])
    if as_json:
        out_fields(result)
    else:
        out(f"{output}  {', '.join(result.cases)}")


def voices(
    count: Annotated[int, typer.Argument(help="How many clips.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; the same command resumes it.")],
    seconds: Annotated[float | None, typer.Option(help="Longest clip.")] = None,
    seed: Seed = None,
    workers: Workers = None,
    engine: Engine = None,
) -> None:
    """Speech of many synthetic voices and languages with the mouth movement of its phonemes, for `train audio`."""
    from dithead.synth.corpus.voices import voice_corpus

    made = voice_corpus(count, output, **given(seconds=seconds, seed=seed, workers=workers, engine=engine))
    out(f"{output}  {len(made)} clips")
