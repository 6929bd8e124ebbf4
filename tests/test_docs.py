"""The documents say what the code is."""

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.inference.output_segments import SEGMENT

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent != DOCS / "log")
"""The log is left out of the checks of names: it speaks of files and commands as they were."""
DOCUMENTS = [*sorted(ROOT.glob("*.md")), ROOT / "examples" / "README.md", *PAGES]
REFERENCE = ("cli.md", "config.md", "python-api.md", "glossary.md", "rest-api.md")


def load_script(name: str) -> ModuleType:
    """Import a script of the docs folder."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def mapper() -> ModuleType:
    return load_script("file_map")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return load_script("make_reference")


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Markdown makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_the_file_map_is_current(mapper: ModuleType) -> None:
    assert mapper.PAGE.read_text(encoding="utf-8") == mapper.file_map(), "run: make map"


def test_the_file_map_takes_the_first_sentence(mapper: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text('"""Reads a.b files: quickly. H: height."""\n')
    assert mapper.describe(file) == "Reads a.b files: quickly"


@pytest.mark.parametrize("page", REFERENCE)
def test_a_reference_page_is_current(reference: ModuleType, page: str) -> None:
    written = (DOCS / "reference" / page).read_text(encoding="utf-8")
    assert written == reference.PAGES[page]().rstrip() + "\n", "run: make docs"


def test_the_reference_names_every_command_every_export_and_no_address(reference: ModuleType) -> None:
    import dithead

    pages = {name: page() for name, page in reference.PAGES.items()}
    for command in ("generate", "prepare", "train dit", "evaluate", "doctor"):
        assert f"## dithead {command}\n" in pages["cli.md"]
    assert all(name in pages["python-api.md"] for name in dithead.__all__ if not name.startswith("__"))
    assert not any(re.search(r" at 0x[0-9a-f]+", page) for page in pages.values())


def test_the_meaning_of_a_setting_comes_from_string_comment_or_attributes(reference: ModuleType) -> None:
    found = {name: (default, meaning) for name, _, default, meaning in reference.fields_of(Example)}
    assert found == {
        "first": ("1", "A string below it."),
        "second": ("2", "a comment behind it"),
        "third": ("3", "a comment above it"),
        "fourth": ("4", "An entry of the docstring, over two lines."),
        "fifth": ("5", "One entry for two."),
        "sixth": ("6", "One entry for two."),
    }


def test_a_docstring_in_google_style_becomes_lists(reference: ModuleType) -> None:
    docstring = "Do it.\n\nArgs:\n    a: One\n        thing.\n    b: Two.\n\nReturns:\n    A number: large."
    expected = "Do it.\n\n**Args**\n\n- `a`: One\n  thing.\n- `b`: Two.\n\n**Returns**\n\nA number: large."
    assert reference._markdown(docstring) == expected


class Example:
    """Settings to read.

    Attributes:
        fourth: An entry of the docstring,
            over two lines.
        fifth, sixth: One entry for two.
    """

    first: int = 1
    """A string below it."""
    second: int = 2  # a comment behind it
    # a comment above it
    third: int = 3
    fourth: int = 4
    fifth: int = 5
    sixth: int = 6


def test_the_readme_is_short_and_reaches_a_result_on_its_first_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    for needed in ("make demo", "dithead generate --video", "dithead.generate(video="):
        assert any(needed in line for line in lines[:45]), needed


def test_the_navigation_lists_every_page_and_no_other() -> None:
    listed = set(re.findall(r"^ +- .*?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert listed == pages


@pytest.mark.parametrize("document", [*DOCUMENTS, *sorted((DOCS / "log").glob("*.md"))], ids=named)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_every_command_named_in_a_document_exists() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    for command in sorted(set(re.findall(r"(?<!from )\bdithead ((?:train )?[a-z]+)(?= [-A-Z0-9\\]|`|$)", text, re.M))):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_file_named_in_a_document_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w/.])((?:src|docs|tests|recipes|experiments|examples|\.ci)/[\w./-]+\.[a-z]+)\b", text)
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_test_named_in_a_document_exists(document: Path) -> None:
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert not set(re.findall(r"\btest_\w+\.py", document.read_text(encoding="utf-8"))) - there


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_python_name_in_a_document_resolves(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name in sorted(
        set(re.findall(r"(?<![.\w])dithead(?:\.[A-Za-z_]\w*)+", text)) - {"dithead.report", "dithead.cli"}
    ):
        module, _, attribute = name.rpartition(".")
        spec = importlib.util.find_spec(name) if not attribute[0].isupper() and has_spec(module) else None
        assert spec or hasattr(importlib.import_module(module), attribute), name


def has_spec(module: str) -> bool:
    """Return whether a module is a package, in which another module can be."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


def test_every_key_on_the_page_of_metrics_is_written_by_the_code() -> None:
    rows = re.findall(r"^\| [^|`]+ \| ((?:`\w+`(?:, )?)+) \|", (DOCS / "reference" / "metrics.md").read_text(), re.M)
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    code = "".join(file.read_text() for file in (ROOT / "src" / "dithead" / "evaluate").glob("*.py"))
    assert len(keys) > 20
    assert not [key for key in sorted(keys) if key not in code]


def test_the_pages_name_the_frames_of_a_segment_as_the_code_has_them() -> None:
    said = {page: re.search(text, (DOCS / page).read_text()) for page, text in (
        ("howto/scale-out.md", r"segment that was being drawn \((\d+) frames\)"),
        ("explanation/scale.md", r"last whole segment \((\d+) frames\)"),
        ("explanation/design.md", r"every (\d+) frames `inference/output_segments.py` keeps a segment"),
    )}  # fmt: skip
    assert {page: found and int(found[1]) for page, found in said.items()} == dict.fromkeys(said, SEGMENT)


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=tmp_path, check=True)
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "out" / "site").rglob("*.html")]
    assert len(pages) > 25
    assert not [tag for page in pages for tag in re.findall(r"<(?:script|link|img)[^>]+https?://[^>]*>", page)]
