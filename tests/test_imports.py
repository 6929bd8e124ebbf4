"""Imports point one way, as docs/design.md draws it; and importing the package loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "dithead"
BASE = {"types", "errors"}
CORE = BASE | {"engine", "sync", "media", "face", "models", "diffusion", "config", "hub", "checkpoint"}

# What each part may import, besides itself. A part is a top-level module or folder of the package.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "engine": BASE,
    "media": BASE,
    "face": BASE,
    "models": BASE,
    "diffusion": BASE,
    "synth": BASE | {"engine", "media", "face"},
    "sync": BASE | {"media", "face", "models"},
    "config": BASE | {"media", "face", "models", "diffusion"},
    "hub": BASE | {"config"},
    "checkpoint": CORE - {"checkpoint"},
    "prepare": CORE,
    "train": CORE | {"prepare"},
    "generate": CORE | {"prepare"},
    "evaluate": CORE | {"prepare", "train", "generate"},
    "serve": CORE | {"prepare", "generate", "provenance"},
    "provenance": BASE | {"media"},
    "doctor": CORE | {"synth"},
    "commands": CORE | {"prepare", "train", "generate", "evaluate", "synth", "doctor"},
    "cli": CORE | {"prepare", "train", "generate", "evaluate", "synth", "doctor", "commands"},
    "__main__": {"cli"},
}
HEAVY = ("torch", "mediapipe", "cv2", "av", "diffusers", "transformers", "huggingface_hub", "numpy", "jax")


def part_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_parts(file: Path) -> set[str]:
    """Parts of dithead that a file imports anywhere in it, in functions and type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: import by the full name, so that direction shows"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("dithead.")}
    return {name for name in found if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()}


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    part = part_of(file)
    forbidden = imported_parts(file) - ALLOWED[part] - {part}
    assert not forbidden, f"{part} may not import {sorted(forbidden)}"


def test_the_rule_sees_every_kind_of_import(tmp_path: Path) -> None:
    file = tmp_path / "probe.py"
    file.write_text(
        "import dithead.media.video\nfrom dithead import face\ndef f():\n    from dithead.errors import FaceError\n"
    )
    assert imported_parts(file) == {"media", "face", "errors"}


def test_the_allowed_imports_have_no_cycle() -> None:
    settled: set[str] = set()
    while rest := {part for part, needs in ALLOWED.items() if part not in settled and needs - {part} <= settled}:
        settled |= rest
    assert settled == set(ALLOWED)


@pytest.mark.parametrize("module", ["dithead", "dithead.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
