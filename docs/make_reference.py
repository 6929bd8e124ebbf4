"""Write the reference pages that come from code: command line, settings, Python interface, and REST API.

    python docs/make_reference.py

The pages are functions of the source alone: they hold no dates, no paths and no addresses of objects.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from typer.main import get_command

import dithead
from dithead import options
from dithead.cli import app
from dithead.config import PRESETS, Preset
from dithead.glossary import GLOSSARY

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- `make docs` writes this page from the code. Do not edit it by hand. -->\n"

FURTHER_API = [
    ("What a pipeline returns", ["dithead.inference.dithead_pipeline:PipelineOutput"]),
    (
        "Live speech",
        [
            "dithead.inference.streaming:LiveHead",
            "dithead.inference.streaming:LiveFrame",
            "dithead.options:SamplingOptions",
        ],
    ),
    ("Audio-visual offset", ["dithead.critics.sync_offset:av_offset"]),
    ("Prepared datasets", ["dithead.prepare.dataset:Dataset", "dithead.prepare.shard_writer:write_shards"]),
    (
        "Synthetic people",
        [
            "dithead.synth.corpus.people:synth_corpus",
            "dithead.synth.corpus.options:SynthOptions",
            "dithead.synth.corpus.presenter:present",
            "dithead.synth.corpus.presenter:PresenterOptions",
            "dithead.synth.corpus.hard_cases:synth_hard_cases",
        ],
    ),
]
"""Sections of the Python page beside the exported names: heading, and MODULE:NAME of each object."""


# --- The command line ---------------------------------------------------------------------------------------------


def cli_page() -> str:
    """Return the page of all commands with their arguments and options."""
    lines = ["# Command line\n", NOTE]
    lines.append(
        "`dithead COMMAND --help` prints the same text. An option without a default takes the default of the Python\n"
        "function behind the command; see [Python](python-api.md). Exit codes: 0 the work is done, 1 `doctor` found a\n"
        "fault, 2 the request cannot be met (one line on standard error says why), 130 interrupted, 143 terminated;\n"
        "those of `verify` are in its own section.\n"
    )
    for name, command in _commands("dithead", get_command(app)):
        lines += [f"## {name}\n", f"{_plain(command.help)}\n", *_parameters(command)]
    return "\n".join(lines)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) for every command that does something by itself."""
    for key, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _commands(f"{name} {key}", child)
        else:
            yield f"{name} {key}", child


def _parameters(command: Any) -> list[str]:
    """Return a Markdown table of a command's arguments and options."""
    parameters = sorted(command.params, key=lambda parameter: parameter.param_type_name != "argument")
    rows = [_parameter(parameter) for parameter in parameters if parameter.name != "help"]
    return ["| argument or option | value | meaning |", "|---|---|---|", *rows, ""] if rows else []


def _parameter(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    notes = [_plain(parameter.help or "")]
    if parameter.required:
        notes.append("Required.")
    notes[0] = re.sub(r" \[default: (.*)\]$", r" Default: `\1`.", notes[0])
    if isinstance(parameter.default, (str, int, float)) and not isinstance(parameter.default, bool):
        notes.append(f"Default: `{parameter.default}`.")
    if getattr(parameter, "envvar", None):
        notes.append(f"Environment variable: `{parameter.envvar}`.")
    value = "" if getattr(parameter, "is_flag", False) else parameter.metavar or _value_kind(parameter)
    if getattr(parameter, "multiple", False) or parameter.nargs == -1:
        value += ", repeatable"
    value = value.strip().replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in names)} | {value} | {_cell(' '.join(notes))} |"


def _value_kind(parameter: Any) -> str:
    """Return the kind of value in words; typer keeps it in another place before version 0.29."""
    descriptor = getattr(parameter, "type_descriptor", None)
    annotation = descriptor.annotation if descriptor else None
    kind = getattr((*get_args(annotation), annotation)[0], "__name__", "") or parameter.type.name.split()[0]
    return {"str": "text", "int": "integer", "float": "number", "Path": "path"}.get(kind, kind)


# --- The settings -------------------------------------------------------------------------------------------------


def config_page() -> str:
    """Return the page of all settings of a preset, with their types, defaults and meanings."""
    lines = ["# Settings and presets\n", NOTE]
    lines.append(
        "`--set KEY=VALUE` of the `train` commands changes any setting of a preset; the key is the heading's path and\n"
        "the name, as in `--set model.dit.width=384` or `--set dit.batch=64`. What a run was trained with is in its\n"
        "`config.json`.\n"
    )
    lines += _preset_table()
    for path, kinds in _sections(Preset, ""):
        lines += [f"## `{path}`\n"]
        for kind in kinds:
            lines += _settings(kind, with_name=len(kinds) > 1)
    return "\n".join(lines)


def _preset_table() -> list[str]:
    """Return a table of the settings in which the presets differ: one row a setting, one column a preset."""
    flat = {name: dict(_flatten(preset.model_dump(mode="json"), "")) for name, preset in PRESETS.items()}
    found = list(dict.fromkeys(key for values in flat.values() for key in values))
    groups = list(dict.fromkeys(key.rpartition(".")[0] for key in found))
    keys = sorted(found, key=lambda key: groups.index(key.rpartition(".")[0]))
    lines = ["## Where the presets differ\n", f"| setting | {' | '.join(flat)} |", f"|---|{'---|' * len(flat)}"]
    for key in keys:
        row = [_shown(values[key]) if key in values else "–" for values in flat.values()]
        if len(set(row)) > 1 and key != "model.name":
            lines.append(f"| `{key}` | {' | '.join(row)} |")
    return [*lines, "", "A dash means that the preset's part has no such setting.\n"]


def _flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _flatten(child, f"{path}.{key}".lstrip("."))
    else:
        yield path, value


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value) or '""'


def _sections(kind: type[BaseModel], path: str) -> Iterator[tuple[str, list[type]]]:
    """Yield (path, classes) of every group of settings below ``kind``; unions yield all their classes."""
    for name, field in kind.model_fields.items():
        kinds = list(_classes(field.annotation))
        if not kinds:
            continue
        here = f"{path}.{name}".lstrip(".")
        yield here, kinds
        for child in kinds:
            if issubclass(child, BaseModel):
                yield from _sections(child, here)


def _classes(annotation: Any) -> Iterator[type]:
    """Yield the classes with settings that an annotation names, unions and ``Annotated`` opened."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or hasattr(annotation, "__dataclass_fields__")
    ):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


def _settings(kind: type, *, with_name: bool) -> list[str]:
    """Return one class's docstring and its table of settings."""
    lines = [f"### {kind.__name__}\n"] if with_name else []
    lines += [
        _markdown(_without_fields(inspect.getdoc(kind) or "")),
        "",
        "| setting | type | default | meaning |",
        "|---|---|---|---|",
    ]
    groups = {name for name, _ in _sections(kind, "")} if issubclass(kind, BaseModel) else set()
    for name, annotation, default, meaning in fields_of(kind):
        if name not in groups:
            lines.append(f"| `{name}` | {_type(kind, annotation)} | {_code(default)} | {_cell(meaning)} |")
    return [*lines, ""]


def _type(kind: type, annotation: str) -> str:
    """Return a field's type as a cell; an alias of literal texts is opened."""
    choices = get_args(getattr(import_module(kind.__module__), annotation, None))
    if choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(_code(repr(choice)) for choice in choices)
    return _code(annotation.removeprefix("Literal[").removesuffix("]") if "Literal[" in annotation else annotation)


def fields_of(kind: type) -> list[tuple[str, str, str, str]]:
    """Return (name, annotation, default, meaning) of a class's fields, as its source writes them.

    The meaning is the string that follows the field, or the comment at the end of its line or above it, or the
    description of a pydantic ``Field``, or the entry under ``Attributes:`` or ``Args:`` of the class's docstring.
    """
    described = _described_fields(inspect.getdoc(kind) or "")
    source = textwrap.dedent(inspect.getsource(kind))
    lines, body = source.splitlines(), ast.parse(source).body[0].body  # type: ignore[attr-defined]
    found = []
    for position, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            following = body[position + 1] if position + 1 < len(body) else None
            meaning = _string_of(following) or _comment(lines, node) or _description(kind, node.target.id)
            meaning = meaning or described.get(node.target.id, "")
            default = ast.unparse(node.value) if node.value else ""
            if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in ("Field", "option"):
                default = ast.unparse(node.value.args[0]) if node.value.args else ""
            found.append((node.target.id, ast.unparse(node.annotation), default, meaning))
    return [entry for entry in found if not entry[0].startswith(("_", "model_config"))]


def _string_of(node: ast.stmt | None) -> str:
    """Return the text of a statement that is a string by itself, else nothing."""
    value = node.value if isinstance(node, ast.Expr) else None
    return _plain(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _comment(lines: list[str], node: ast.stmt) -> str:
    """Return the comment behind a field, or the block of comments right above it."""
    behind = lines[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :].strip()
    if behind.startswith("#"):
        return behind.lstrip("# ")
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.strip().startswith("#"):
            break
        above.insert(0, line.strip().lstrip("# "))
    return " ".join(above)


_FIELDS = re.compile(r"^(?:Attributes|Args):\n((?:(?: {4}.*)?(?:\n|$))+)", re.M)


def _described_fields(docstring: str) -> dict[str, str]:
    """Return what a class's docstring says of its fields, under ``Attributes:`` or ``Args:``, by name."""
    section = _FIELDS.search(docstring)
    entries = re.split(r"^ {4}(\w+(?:, \w+)*): ", section[1], flags=re.M)[1:] if section else []
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return {name: _plain(text) for names, text in pairs for name in names.split(", ")}


def _without_fields(docstring: str) -> str:
    return _FIELDS.sub("", docstring)


def _description(kind: type, name: str) -> str:
    """Return the description of a pydantic field, or the help of an option of ``dithead.options``."""
    field = getattr(kind, "model_fields", {}).get(name)
    option = getattr(kind, "__dataclass_fields__", {}).get(name)
    return (getattr(field, "description", None) or "") or (option.metadata.get("help", "") if option else "")


# --- The Python interface -----------------------------------------------------------------------------------------


def api_page() -> str:
    """Return the page of the exported names and of the further objects that are meant to be called."""
    lines = ["# Python\n", NOTE]
    lines.append(
        "`tests/test_public_api.py` pins the names under `dithead`. Importing the package loads nothing heavy: a name\n"
        "is imported when it is first used.\n\n"
        "```python\nimport dithead\n\n"
        'result = dithead.generate(video="face.mp4", audio="speech.wav", output="out.mp4")\n'
        "print(result.frames, result.frames_per_second)\n```\n"
    )
    names = [name for name in dithead.__all__ if not name.startswith("__")]
    errors = [name for name in names if name.endswith("Error")]
    functions = sorted(set(names) - set(errors), key=lambda name: (name[0].isupper(), name))
    for name in functions:
        lines += _object(f"dithead.{name}", getattr(dithead, name))
    lines += ["## Errors\n", "| error | when it is raised |", "|---|---|"]
    lines += [f"| `dithead.{name}` | {_cell(inspect.getdoc(getattr(dithead, name)) or '')} |" for name in errors]
    for heading, places in FURTHER_API:
        lines += ["", f"## {heading}\n"]
        for place in places:
            module, _, name = place.partition(":")
            lines += _object(f"{module}.{name}", getattr(import_module(module), name), level=3)
    return "\n".join(lines).rstrip() + "\n"


def _object(name: str, value: Any, level: int = 2) -> list[str]:
    """Return heading, signature, description and public members of a function or class."""
    lines = [f"{'#' * level} {name.rpartition('.')[2]}\n", f"```python\n{_signature(name, value)}\n```\n"]
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value) and "__init__" in vars(value):
        text += (inspect.getdoc(value.__init__) or "").partition("\n")[2]
    has_fields = inspect.isclass(value) and bool(fields_of(value))
    lines += [_markdown(_without_fields(text) if has_fields else text), *_choices(value), ""]
    if inspect.isclass(value):
        rows = [f"| `{field}` | {_code(kind)} | {_cell(text)} |" for field, kind, _, text in fields_of(value)]
        lines += ["| field | type | meaning |", "|---|---|---|", *rows, ""] if rows else []
        lines += [line for member, item in _members(value) for line in _member(member, item)]
    return lines


def _members(kind: type) -> list[tuple[str, Any]]:
    """Return a class's own public methods and properties in the order of the source."""
    return [
        (name, item)
        for name, item in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(item) or isinstance(item, property))
    ]


def _member(name: str, item: Any) -> list[str]:
    """Return a method's call or a property's name, and its description."""
    is_property = isinstance(item, property)
    function = item.fget if is_property else item
    call = name if is_property else f"{name}({', '.join(_parameters_of(function))}){_returns(function)}"
    return [f"**`{call}`**\n", f"{_markdown(inspect.getdoc(function) or '')}\n"]


def _signature(name: str, value: Any) -> str:
    """Return a call as the source writes it, one parameter a line where it is long."""
    function = value.__init__ if inspect.isclass(value) else value
    if not inspect.isfunction(function) or (inspect.isclass(value) and hasattr(value, "__dataclass_fields__")):
        return name
    parts, returns = _parameters_of(function), "" if inspect.isclass(value) else _returns(function)
    line = f"{name}({', '.join(parts)}){returns}"
    return line if len(line) < 100 else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _returns(function: Any) -> str:
    annotation = inspect.signature(function).return_annotation
    return "" if annotation is inspect.Signature.empty else f" -> {_annotation(annotation)}"


def _annotation(annotation: Any) -> str:
    """Return an annotation as the source writes it, whether it is kept as text or as an object."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\bdithead(?:\.[a-z_]+)+\.(?=[A-Z])", "", text)


def _parameters_of(function: Any) -> list[str]:
    """Return NAME: TYPE = DEFAULT of every parameter but ``self``, and the star before keyword-only ones."""
    parts: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        kind = "" if parameter.annotation is parameter.empty else f": {_annotation(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {_default(parameter.default)}"
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if name != "self":
            parts.append(f"{stars}{name}{kind}{default}")
    return parts


def _default(value: Any) -> str:
    """Return a default as text; objects are named instead of printed, for their text may hold an address."""
    is_plain = value is None or isinstance(value, (bool, int, float, str, tuple))
    return repr(value) if is_plain else getattr(value, "__name__", str(value))


def _choices(value: Any) -> list[str]:
    """Return a line for every alias of literal values that a signature uses."""
    function = value.__init__ if inspect.isclass(value) else value
    if not inspect.isfunction(function):
        return []
    places = [inspect.unwrap(function).__globals__, vars(options)]
    text = " ".join(_parameters_of(function))
    found = {word: next((place[word] for place in places if word in place), None) for word in re.findall(r"\w+", text)}
    choices = {word: get_args(alias) for word, alias in sorted(found.items())}
    return [
        f"\n`{word}` is one of {', '.join(f'`{item}`' for item in items)}."
        for word, items in choices.items()
        if items and all(isinstance(item, str) for item in items)
    ]


# --- Text ---------------------------------------------------------------------------------------------------------


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return _plain(text).replace("``", "`").replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _markdown(docstring: str) -> str:
    """Turn a docstring in Google style into Markdown: sections become lists, examples code, double backticks single."""
    lines, section = [], ""
    for line in docstring.replace("``", "`").splitlines():
        heading = re.fullmatch(r"(Args|Arguments|Returns|Raises|Yields|Examples?|Attributes):", line)
        entry = re.fullmatch(r"    (\*{0,2}\w+): (.*)", line)
        if heading:
            section = heading[1]
            lines += ["", f"**{section}**", ""]
        elif not section or section.startswith("Example") or not line.startswith("    "):
            section = section if not line or line.startswith("    ") else ""
            lines.append(line)
        elif entry and section not in ("Returns", "Yields"):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(f"  {line.strip()}" if lines[-1].startswith(("- ", "  ")) else line.strip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def glossary_page() -> str:
    """Return the page of all terms that reports and messages use."""
    lines = [
        "# Glossary\n",
        NOTE,
        "The words of reports, messages and these pages. A report ends with those it uses.\n",
    ]
    lines += ["| word | meaning |", "|---|---|", *(f"| {term} | {meaning} |" for term, meaning in GLOSSARY.items())]
    return "\n".join(lines)


def rest_page() -> str:
    """Return the page of the REST API; its writer lies in a file of its own."""
    spec = spec_from_file_location("rest_reference", Path(__file__).with_name("rest_reference.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    page: str = module.rest_page()
    return page


PAGES = {
    "cli.md": cli_page,
    "config.md": config_page,
    "python-api.md": api_page,
    "glossary.md": glossary_page,
    "rest-api.md": rest_page,
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, page in PAGES.items():
        (FOLDER / file).write_text(page().rstrip() + "\n", encoding="utf-8")
