"""The documents say what the code is."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from dithead.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def mapper() -> ModuleType:
    spec = importlib.util.spec_from_file_location("file_map", ROOT / "docs" / "file_map.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_map_lists_every_file_and_no_other(mapper: ModuleType) -> None:
    section = mapper.README.read_text(encoding="utf-8").split(mapper.BEGIN)[1]
    listed, wanted = (re.findall(r"^(?:- )?`([\w./]+)`", text, re.M) for text in (section, mapper.file_map()))
    assert listed == wanted, "run: make map"


def test_the_file_map_takes_the_first_sentence(mapper: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text('"""Reads a.b files: quickly. H: height."""\n')
    assert mapper.describe(file) == "Reads a.b files: quickly"


def test_the_readme_reaches_a_result_within_30_lines() -> None:
    head = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    for needed in ("make demo", "dithead generate --video", "dithead.generate(video="):
        assert any(needed in line for line in head), needed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_named_in_a_document_exists(document: Path) -> None:
    named = set(
        re.findall(r"\bdithead ((?:train )?[a-z]+)(?= [-A-Z0-9\\]|`|$)", document.read_text(encoding="utf-8"), re.M)
    )
    for command in named:
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_named_in_a_document_exists(document: Path) -> None:
    named = re.findall(
        r"`((?:src|docs|tests|experiments|recipes|examples|\.ci)/[\w./-]+\.\w+)`", document.read_text(encoding="utf-8")
    )
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
