"""The command line: one sub-command for each step, which parses, then imports and calls one public function.

An option that is not given is not passed on, so every default lives with the function. Exit codes: 0 done,
1 `doctor` found something broken or `verify` no mark, 2 the request cannot be met (one line on stderr says why),
3 `verify` found a mark on a file that was changed, 130 interrupted.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from contextlib import nullcontext
from typing import Annotated, Any, NoReturn

import typer

from dithead.commands import bench, measure, prepare, serve, synthetic, talk, trust
from dithead.commands.shared import Json, OptionalValues, WholeSentences, complain, out
from dithead.commands.train import train
from dithead.errors import DitheadError, explain_import
from dithead.inference.early_start import start_early
from dithead.process_settings import ends_at_once, tune_process
from dithead.progress import style

UsageError: Any = typer.BadParameter.__mro__[1]  # of click, which newer versions of typer carry themselves
USAGE_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143
_DRAWING = ("generate", "worker")  # sub-commands whose process draws and does nothing else


class _Commands(WholeSentences):
    """Turns named errors and Ctrl-C into one line and an exit code, for every sub-command."""

    def invoke(self, ctx: Any) -> Any:
        before = style.set("auto")  # a command sets its own, which also holds for the line of its error
        try:
            return self._invoke(ctx)
        finally:
            style.reset(before)

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DitheadError as error:
            complain(" ".join(str(error).splitlines()))
            raise typer.Exit(USAGE_ERROR) from None
        except UsageError as error:
            path = error.ctx.command_path if error.ctx else "dithead"
            complain(f"{_plain_usage(' '.join(error.format_message().splitlines()))} (see {path} --help)")
            raise typer.Exit(USAGE_ERROR) from None
        except ImportError as error:
            if (explained := explain_import(error)) is None:
                raise
            complain(str(explained))
            raise typer.Exit(USAGE_ERROR) from None
        except KeyboardInterrupt as interrupt:
            kept = "".join(f"; {note}" for note in getattr(interrupt, "__notes__", ()))
            then = "goes on from there" if kept else "resumes or starts again"
            complain(f"interrupted{kept}; the same command {then}")
            raise typer.Exit(INTERRUPTED) from None


def _plain_usage(message: str) -> str:
    """Return a message of click, or plainer words for what a newcomer meets first."""
    found = re.fullmatch(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", message)
    if found is None:
        return message
    return f"{found[1]}: an option must stand before {'each of them' if ' ' in found[1] else 'it'}"


app = typer.Typer(
    cls=_Commands,
    name="dithead",
    help="Make a person in a video speak a given speech track.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # in 80 columns the boxes of rich cut the names of options; they take 0.3 s to import
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.add_typer(train, name="train")
app.add_typer(trust.keys, name="keys")
app.add_typer(serve.api_keys, name="api-keys")
app.add_typer(trust.deny, name="deny")


for _command in (talk.generate, talk.faces):
    app.command(cls=OptionalValues, epilog=getattr(_command, "epilog", None))(_command)


for _command in (trust.verify,):
    app.command()(_command)


for _serve in (serve.serve, serve.worker):
    app.command()(_serve)


for _prepare in (prepare.prepare, prepare.shard):
    app.command()(_prepare)


for _command in (synthetic.synth, synthetic.voices):
    app.command()(_command)


for _measure in (measure.evaluate, measure.score, measure.compare, measure.report, measure.study, bench.bench):
    app.command()(_measure)


@app.command()
def presets(as_json: Json = False) -> None:
    """List the presets that `train` takes: parameters, tokens, operations a frame, memory."""
    from dithead.config import PRESETS, PURPOSES
    from dithead.train.report.model_sizes import sizes_of

    if not as_json:
        for name, preset in PRESETS.items():  # each as soon as it is counted, which takes seconds for the large ones
            out(f"{name:<6} {sizes_of(preset.model).summary(preset.model)}; {PURPOSES[name]}")
        return
    described = {
        name: preset.model_dump(mode="json") | {"purpose": PURPOSES[name], "sizes": sizes_of(preset.model).to_dict()}
        for name, preset in PRESETS.items()
    }
    out(json.dumps(described))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Report what this machine has and what is missing. Exit code 1 if `generate` cannot run."""
    from dithead.doctor import examine, healthy, print_table

    findings = examine()
    if as_json:
        out(json.dumps({"healthy": healthy(findings), "findings": [vars(finding) for finding in findings]}))
    else:
        print_table(findings)
    raise typer.Exit(0 if healthy(findings) else 1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from dithead import __version__

        out(f"dithead {__version__}")
        raise typer.Exit


def console() -> None:
    """Entry point of the console script: ``main``, after which a process that generated ends at once."""
    generates = sys.argv[1:2] == ["generate"]
    if generates and any(word.startswith("--video") for word in sys.argv):  # one job
        start_early()
    with ends_at_once() if generates else nullcontext():
        main()


def main() -> None:
    """Run the command of ``sys.argv``; raises SystemExit, and leaves the process to its caller."""
    signal.signal(signal.SIGTERM, _terminate)  # so that `finally` blocks clean up
    if sys.argv[1:2] and sys.argv[1] in _DRAWING:
        tune_process()
    app()


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)


if __name__ == "__main__":
    console()
