"""The packages of `synth` import one way: each one only from those that stand before it."""

import ast
from pathlib import Path

import pytest

import dithead.synth

ROOT = Path(dithead.synth.__file__).parent
BEFORE: dict[str, set[str]] = {
    "types": set(),
    "noise": {"types"},
    "voice": {"types", "noise"},
    "face": {"types", "noise", "voice"},
    "head": {"types", "noise", "voice", "face"},
    "skin": {"types", "noise", "voice", "face", "head"},
    "scene": {"types", "noise", "voice", "face", "head"},
    "person": {"types", "noise", "voice", "face", "head", "skin", "scene"},
    "corpus": {"types", "noise", "voice", "face", "head", "skin", "scene", "person"},
}


def imported_packages(file: Path) -> set[str]:
    """The packages and modules directly below `synth` from which a file imports, anywhere in it."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return {module.split(".")[2] for module in modules if module.startswith("dithead.synth.")}


@pytest.mark.parametrize("package", BEFORE)
def test_each_package_imports_only_from_those_before_it(package: str) -> None:
    files = [ROOT / f"{package}.py"] if (ROOT / f"{package}.py").exists() else list((ROOT / package).rglob("*.py"))
    imported = set().union(*(imported_packages(file) for file in files))
    assert files
    assert imported <= BEFORE[package] | {package}


def test_the_order_names_every_package() -> None:
    packages = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert packages - {"__init__"} == set(BEFORE)
