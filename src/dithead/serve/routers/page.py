"""The web page: files of the package, read once; no other file of the disk can be asked for."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

from dithead.serve.errors import not_found

router = APIRouter(include_in_schema=False)
_TYPES = {
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
    "json": "application/json", "svg": "image/svg+xml", "webmanifest": "application/manifest+json",
}  # fmt: skip


@cache
def page_files() -> dict[str, tuple[bytes, str, str]]:
    """Return every file of the page by its path: content, type, and a tag that changes with the content."""
    found: dict[str, tuple[bytes, str, str]] = {}
    _collect(files("dithead.serve") / "page", "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, tuple[bytes, str, str]]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _collect(entry, f"{prefix}{entry.name}/", found)
        elif (kind := _TYPES.get(entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            found[prefix + entry.name] = (content, kind, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


@router.get("/")
def get_page(request: Request) -> Response:
    """Return the page."""
    return _answer("index.html", request)


@router.get("/page/{path:path}")
def get_page_file(path: str, request: Request) -> Response:
    """Return a script, a style or a text of the page."""
    return _answer(path, request)


def _answer(path: str, request: Request) -> Response:
    if path not in page_files():
        raise not_found("page")
    content, kind, tag = page_files()[path]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
