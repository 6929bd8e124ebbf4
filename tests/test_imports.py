"""Imports point one way, file by file, without a circle; and importing the package loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "dithead"
BASE = {"types", "errors", "limits", "stages", "progress", "glossary", "process_settings"}
CORE = BASE | {
    "option_fields",
    "option_values",
    "engine",
    "media",
    "face",
    "models",
    "critics",
    "diffusion",
    "config",
    "device",
    "hub",
    "model_folder",
    "checkpoint",
}

# What each part may import, besides itself. A part is a top-level module or folder of the package.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "limits": {"errors"},
    "stages": set(),
    "process_settings": set(),
    "progress": set(),
    "glossary": set(),
    "option_fields": {"errors"},
    "option_values": {"errors", "option_fields"},
    "engine": BASE | {"option_fields"},
    "media": BASE,
    "face": BASE,
    "models": BASE | {"device"},
    "diffusion": BASE,
    "device": BASE,
    "critics": BASE | {"face", "models"},
    "provenance": BASE | {"option_fields", "option_values", "media", "face", "critics", "hub", "model_folder"},
    "synth": BASE | {"option_fields", "option_values", "engine", "media", "face", "provenance"},
    "config": BASE | {"models", "diffusion"},
    "hub": BASE | {"config"},
    "model_folder": BASE,
    "options": BASE | {"option_fields", "option_values", "device", "hub", "media", "models"},
    "checkpoint": CORE - {"checkpoint"},
    "prepare": CORE,
    "train": CORE | {"prepare"},
    "inference": CORE | {"options", "prepare", "provenance"},
    "evaluate": CORE | {"options", "prepare", "train", "provenance", "inference"},
    "bench": CORE | {"options", "prepare", "train", "provenance", "inference", "evaluate"},
    "doctor": CORE | {"synth"},
    "serve": CORE | {"options", "prepare", "provenance", "inference"},
    "commands": CORE
    | {"options", "prepare", "train", "provenance", "inference", "evaluate", "bench", "synth", "doctor", "serve"},
    "cli": CORE
    | {"options", "prepare", "train", "provenance", "inference", "evaluate", "bench", "synth", "doctor", "serve"}
    | {"commands"},
}
HEAVY = ("torch", "ai_edge_litert", "cv2", "av", "diffusers", "transformers", "huggingface_hub", "numpy")


def part_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def module_file(name: str) -> Path | None:
    """The file of a dotted module name, or None when it is no module of the package."""
    path = SOURCE.joinpath(*name.split("."))
    if path.is_dir():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else None


def imported_files(file: Path) -> set[Path]:
    """Files of dithead that a file imports anywhere in it, in functions and for type checking too."""
    found: set[Path | None] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: import by the full name, so that direction shows"
            for alias in node.names:
                found.add(module_file(f"{node.module}.{alias.name}") or module_file(str(node.module)))
        elif isinstance(node, ast.Import):
            found |= {module_file(alias.name) for alias in node.names}
    return {path for path in found if path is not None and PACKAGE in path.parents}


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    part = part_of(file)
    parts = {part_of(path) for path in imported_files(file) if path != PACKAGE / "__init__.py"}
    forbidden = parts - ALLOWED[part] - {part}
    assert not forbidden, f"{part} may not import {sorted(forbidden)}"


def test_no_file_imports_itself_in_a_circle() -> None:
    graph = {file: imported_files(file) - {PACKAGE / "__init__.py", file} for file in FILES}
    settled: set[Path] = set()
    while rest := {file for file, needs in graph.items() if file not in settled and needs <= settled}:
        settled |= rest
    circle = sorted(str(file.relative_to(PACKAGE)) for file in graph.keys() - settled)
    assert not circle, f"these files import one another in a circle, or something that does: {circle}"


def test_the_rule_sees_every_kind_of_import(tmp_path: Path) -> None:
    file = tmp_path / "probe.py"
    file.write_text(
        "import dithead.media.video\nfrom dithead import face\ndef f():\n    from dithead.errors import FaceError\n"
    )
    found = {str(path.relative_to(PACKAGE)) for path in imported_files(file)}
    assert found == {"media/video.py", "face/__init__.py", "errors.py"}


def test_every_part_that_is_named_exists() -> None:
    gone = [part for part in ALLOWED if not (PACKAGE / part).is_dir() and not (PACKAGE / f"{part}.py").exists()]
    assert not gone


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
