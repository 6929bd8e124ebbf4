"""Report what this machine has, what is missing, and the command that would install it. Changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from dithead.errors import EXTRAS, DitheadError

Status = Literal["ok", "absent", "broken"]
GIB = 2**30
CODECS = ("libx264", "aac", "flac", "ffv1")
"""FFmpeg's encoders that are needed."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. What is ``absent`` is optional; what is ``broken`` stops `dithead generate`."""

    topic: str
    status: Status
    detail: str
    advice: str = ""


def examine() -> list[Finding]:
    """Return every finding in reading order; whatever is wrong with the machine is a finding and raises nothing."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings.extend(check())
        except (ImportError, OSError, RuntimeError, DitheadError) as error:
            topic = check.__name__.removeprefix("_").replace("_", " ")
            findings.append(Finding(topic, "broken", str(error).splitlines()[0], _reinstall_command(topic)))
    return findings


def healthy(findings: list[Finding]) -> bool:
    """Tell whether nothing that `dithead generate` needs is broken."""
    return all(finding.status != "broken" for finding in findings)


def print_table(findings: list[Finding]) -> None:
    """Print the findings as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colour = {"ok": "green", "absent": "yellow", "broken": "red"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = f"[{colour[finding.status]}]{finding.status}[/]"
        table.add_row(mark, finding.topic, escape(finding.detail), escape(finding.advice))
    Console().print(table)


def _reinstall_command(topic: str) -> str:
    if topic == "opencv":  # usually a server that lacks libGL
        return "pip install --force-reinstall --no-deps 'opencv-python-headless<5'"
    return "reinstall: pip install --force-reinstall dithead -c constraints.txt"


def _system() -> Iterator[Finding]:
    yield Finding("system", "ok", f"{platform.system()} {platform.release()} {platform.machine()}")
    fits = sys.version_info[:2] >= (3, 11)
    advice = "" if fits else "use Python 3.11 or later"
    yield Finding("python", "ok" if fits else "broken", platform.python_version(), advice)


def _memory() -> Iterator[Finding]:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
        yield Finding("memory", "ok", f"{total:.1f} GiB")
    usage = shutil.disk_usage(Path.cwd())
    advice = "" if usage.free > GIB else "less than 1 GiB free here; make room or work elsewhere"
    yield Finding("disk", "ok" if not advice else "absent", f"{usage.free / GIB:.1f} GiB free here", advice)


def _cpu() -> Iterator[Finding]:
    flags = _cpu_flags()
    fast = sorted(flags & {"amx_bf16", "avx512_bf16", "bf16"})
    bf16 = f"fast bf16 ({', '.join(fast)})" if fast else "no fast bf16"
    yield Finding("cpu", "ok", f"{os.cpu_count()} threads, {bf16}")


def _cpu_flags() -> set[str]:
    """Feature names of the first processor; empty where the system does not list them."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return set()
    for line in info.read_text().splitlines():
        name, _, words = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return set(words.split())
    return set()


def _torch() -> Iterator[Finding]:
    import torch

    yield Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            yield Finding("gpu", "ok", f"cuda:{index} {card.name}, {card.total_memory / GIB:.0f} GiB")
    elif torch.backends.mps.is_available():
        yield Finding("gpu", "ok", "Apple GPU (mps)")
    else:
        yield Finding("gpu", "absent", "none; the CPU does everything, more slowly")


def _opencv() -> Iterator[Finding]:
    yield _versioned("opencv", "cv2")


def _numpy() -> Iterator[Finding]:
    yield _versioned("numpy", "numpy")


def _versioned(topic: str, module: str) -> Finding:
    """A library, broken where dithead does not work with its version."""
    from dithead.face.networks.runtime import wrong_version

    detail = str(import_module(module).__version__)
    wrong = wrong_version(module)
    return Finding(topic, "broken", *wrong.split("; run: ")) if wrong else Finding(topic, "ok", detail)


def _face_networks() -> Iterator[Finding]:
    from dithead.face.networks.runtime import NETWORKS, load_interpreter, read_network

    load_interpreter()
    size = sum(len(read_network(name)) for name in NETWORKS)
    detail = f"{size / 2**20:.0f} MiB, SHA-256 verified; ai-edge-litert {_version('ai-edge-litert')}"
    yield Finding("face networks", "ok", detail)


def _codecs() -> Iterator[Finding]:
    import av

    missing = sorted(set(CODECS) - av.codecs_available)
    detail = f"PyAV {av.__version__}: " + ", ".join(name for name in CODECS if name not in missing)
    if not missing:
        yield Finding("codecs", "ok", detail)
    else:
        advice = "install the binary wheel: pip install --force-reinstall --only-binary av av"
        yield Finding("codecs", "broken", f"{detail}; lacks {', '.join(missing)}", advice)


def _weights() -> Iterator[Finding]:
    from dithead.hub import SHIPPED, resolve_model
    from dithead.model_folder import verify_folder

    for name in SHIPPED:
        folder = resolve_model(name)
        size = sum(verify_folder(folder).values())
        yield Finding("weights", "ok", f"{name}: {size / 2**20:.0f} MiB, SHA-256 verified")


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            detail = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
            yield Finding(f"extra {extra}", "absent", detail, _install_command(extra))
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(f"{module} {_version(module)}" for module in modules))


def _install_command(extra: str) -> str:
    return f"pip install 'dithead[{extra}]'"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"


def _speech() -> Iterator[Finding]:
    """Look for espeak-ng, which speaks for `dithead synth`; nothing else needs it."""
    path = shutil.which("espeak-ng")
    if path:
        yield Finding("espeak-ng", "ok", path)
    else:
        advice = "only for `dithead synth`: apt install espeak-ng, brew install espeak-ng"
        yield Finding("espeak-ng", "absent", "not found", advice)


def _graphics() -> Iterator[Finding]:
    """Look for an off-screen OpenGL driver, which draws for `dithead synth`; nothing else needs it."""
    try:
        from dithead.synth.scene.renderer import open_context

        context = open_context()
    except ModuleNotFoundError as error:
        detail = f"not looked for, because {error.name} is not installed"
        yield Finding("graphics", "absent", detail, "only for `dithead synth`: " + _install_command("synth"))
        return
    except DitheadError as error:
        yield Finding(
            "graphics", "absent", str(error).partition(";")[0], "only for `dithead synth`: " + _advice_in(error)
        )
        return
    yield Finding("graphics", "ok", str(context.info["GL_RENDERER"]))
    context.release()


def _advice_in(error: DitheadError) -> str:
    """The part of an error message that says what to do."""
    return str(error).partition(";")[2].strip()


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _system,
    _cpu,
    _memory,
    _torch,
    _numpy,
    _opencv,
    _face_networks,
    _codecs,
    _weights,
    _extras,
    _speech,
    _graphics,
)
