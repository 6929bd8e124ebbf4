"""Write the page of the REST API from the OpenAPI description; ``make_reference.py`` calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

HEAD = """# REST API

<!-- `make docs` writes this page from the OpenAPI description. Do not edit it by hand. -->

`dithead serve` has this interface; a running server describes it at `/openapi.json`. [Serve](../howto/serve.md) shows
its use. Where the server has keys, send one as `Authorization: Bearer KEY`. Times are seconds since 1970.

An error is `{"detail": "LINE"}` with the line that the command line would print. Any request may be answered with:

| status | when |
|---|---|
"""


def rest_page() -> str:
    """Return the page as Markdown."""
    from dithead.hub import DEFAULT_MODEL
    from dithead.serve.app import describe_app

    described = describe_app((DEFAULT_MODEL,)).openapi()
    schemas = described["components"]["schemas"]
    lines = [HEAD.rstrip("\n")]
    lines += [f"| {status} | {_cell(text)} |" for status, text in _problems(described)]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            lines += ["", f"## {method.upper()} {path}", "", *_operation(operation)]
    lines += ["", "## What is sent and returned"]
    for name, schema in schemas.items():
        if "properties" in schema and not name.startswith(("HTTPValidation", "ValidationError", "Problem")):
            lines += ["", f"### {name}", "", _plain(schema.get("description", "")), "", *_fields(schema)]
    return "\n".join(lines) + "\n"


def _problems(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The statuses that every operation declares."""
    operation = described["paths"]["/v1/jobs"]["get"]
    for status, response in sorted(operation["responses"].items()):
        if int(status) >= 400:
            yield status, response["description"]


def _operation(operation: dict[str, Any]) -> Iterator[str]:
    yield _plain(operation.get("description") or operation["summary"])
    yield ""
    rows = [(p["name"], p["in"], p["schema"], p.get("description", "")) for p in operation.get("parameters", [])]
    rows = [row for row in rows if row[1] != "cookie"]
    if rows:
        yield "| parameter | in | value | meaning |"
        yield "|---|---|---|---|"
        for name, place, schema, text in rows:
            yield f"| `{name}` | {place} | {_kind(schema)} | {_cell(text)} |"
        yield ""
    for mime, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: {_kind(content['schema'])} (`{mime}`)."
        yield ""
    for status, response in operation["responses"].items():
        if int(status) < 400:
            kinds = [f"{_kind(c.get('schema', {}))} (`{mime}`)" for mime, c in response.get("content", {}).items()]
            yield f"Answer {status}: {', '.join(kinds) or 'nothing'}."


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    yield "| field | value | meaning |"
    yield "|---|---|---|"
    for name, field in schema["properties"].items():
        default = f" Default: `{field['default']}`." if field.get("default") not in (None, {}) else ""
        needed = "" if name in required or "default" in field else " Optional."
        yield f"| `{name}` | {_kind(field)} | {_cell(field.get('description', '') + default + needed)} |"


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in a few words, with a link where it has a section of its own."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[union]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{str(schema['const']).lower()}`"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, dict) and inner else "object"
    return _simple(schema)


def _simple(schema: dict[str, Any]) -> str:
    if schema.get("format") == "binary":
        return "bytes"
    words = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = "" if low is None else f" from {low:g}"
    limits += "" if high is None or high > 1e8 else f" to {high:g}"
    return words.get(schema.get("type", ""), "any") + limits


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
