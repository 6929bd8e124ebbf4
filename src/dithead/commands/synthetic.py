"""Sub-commands that make material for training and tests: synth and voices."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from dithead.commands.shared import Json, given, insist, out, out_fields, reports, takes_options
from dithead.errors import ConfigError
from dithead.progress import terminal_progress
from dithead.synth.corpus.options import SynthOptions, VoicesOptions

Given = dict[str, Any]  # options that stand on the command line, by the name of their field of SynthOptions

_HARD_OPTIONS = ("head_model", "seed", "size", "seconds")  # the options of `synth --hard`


@reports
@takes_options(SynthOptions)
def synth(
    output: Annotated[Path, typer.Option("--output", "-o", help="Corpus folder; the same command resumes it.")],
    count: Annotated[int | None, typer.Argument(help="How many clips, each of another person.")] = None,
    number: Annotated[int | None, typer.Option("-n", help="The same as COUNT.")] = None,
    skin_from: Annotated[Path | None, typer.Option(help="A prepared dataset whose people's skins are worn.")] = None,
    hard: Annotated[bool, typer.Option("--hard", help="One clip of each hard case instead, for tests.")] = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Render synthetic people who talk, with exact mouth truth."""
    options = given(**options)
    if None not in (count, number):
        raise ConfigError("say how many clips once: COUNT or -n COUNT")
    count = number if count is None else count
    if hard:
        _make_hard_cases(output, options, given(count=count, skin_from=skin_from), as_json)
        return
    from dithead.synth.corpus.people import synth_corpus

    more: dict[str, Any] = {}
    if skin_from:
        from dithead.prepare.dataset import Dataset

        more["skin_from"] = Dataset(skin_from).clips()
    options |= {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    with terminal_progress() as progress:
        result = synth_corpus(count, output, SynthOptions(**options), progress=partial(progress, "clips"), **more)
    if not result.credentials:
        insist("note: the new clips carry no Content Credentials (--no-credentials)")
    if as_json:
        out_fields(result)
    else:
        out(f"{result.output}  {result.clips} clips, {result.made} of them new")


def _make_hard_cases(output: Path, options: Given, more: Given, as_json: bool) -> None:
    useless = ["count"] * ("count" in more)
    useless += [f"--{name.replace('_', '-')}" for name in [*options, *more] if name not in (*_HARD_OPTIONS, "count")]
    if useless:
        raise ConfigError(f"--hard makes one clip of each case, with labels; it takes no {', '.join(useless)}")
    from dithead.synth.corpus.hard_cases import HardResult, synth_hard_cases

    with terminal_progress() as progress:
        folders = synth_hard_cases(output, progress=progress, **options)
    result = HardResult(output, [folder.name for folder in folders])
    if as_json:
        out_fields(result)
    else:
        out(f"{output}  {', '.join(result.cases)}")


@reports
@takes_options(VoicesOptions)
def voices(
    count: Annotated[int, typer.Argument(help="How many clips.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; the same command resumes it.")],
    **options: Any,
) -> None:
    """Speech of many synthetic voices and languages with the mouth movement of its phonemes, for `train audio`."""
    from dithead.synth.corpus.voices import voice_corpus

    with terminal_progress() as progress:
        made = voice_corpus(count, output, VoicesOptions(**given(**options)), progress=partial(progress, "clips"))
    out(f"{output}  {len(made)} clips")
