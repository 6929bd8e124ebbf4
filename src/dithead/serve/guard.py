"""Stands before every request: foreign hosts and sites, large and slow bodies are refused; every response is hardened.

It is plain ASGI, so that uploads and event streams pass through without being collected, and websockets are checked by
the same rules.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dithead.serve.metrics import Metrics
from dithead.serve.options import LOOPBACK, MIB, ServeOptions
from dithead.serve.patterns import address_parts

log = logging.getLogger("dithead.serve")
SLOWEST = 30.0
"""Seconds that a client may let pass between two pieces of a request's body (our choice)."""
LARGEST_BODY = 1 * MIB
"""Bytes of a request that is no upload, at most (our choice)."""
UPLOADS = "/v1/uploads"
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=()",
}


class _Refused(Exception):  # noqa: N818  # it carries a status to the client
    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, options: ServeOptions, metrics: Metrics, slowest: float = SLOWEST) -> None:
        self.app, self.options, self.metrics, self.slowest = app, options, metrics, slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.slowest, self.options.https)
        try:
            self._check(scope)
            await self.app(scope, exchange.receive, exchange.send)
        except _Refused as refusal:
            exchange.refusal = refusal
        finally:
            if exchange.refusal is not None:
                await exchange.refuse(exchange.refusal)
            if scope["type"] == "http":
                self._note(scope, exchange)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known_host(host):
            raise _Refused(421, "the server does not go by this name; its owner adds it with --site")
        is_safe = scope["type"] == "http" and scope["method"] in _SAFE
        if not is_safe and not _same_site(headers, host):
            raise _Refused(403, "another site may not send requests to this server")
        if scope["path"].startswith("/v1/") and headers.get("sec-fetch-site") == "cross-site":
            raise _Refused(403, "another site may not read from this server")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or (int(length) > LARGEST_BODY and not _takes_files(scope)):
            raise _Refused(413, f"the request is too large; at most {LARGEST_BODY} bytes are taken here")

    def _known_host(self, host: str) -> bool:
        """Whether the server goes by this name. Else a page of another site could give its name our address."""
        if host in self.options.site:
            return True
        name = address_parts(f"//{host}").hostname if _plain_host(host) else None
        if name in LOOPBACK or (name is not None and name == self.options.host):
            return True
        return name is not None and not self.options.on_loopback and not self.options.site

    def _note(self, scope: Scope, exchange: _Exchange) -> None:
        route = getattr(scope.get("route"), "path", "none")
        seconds = (exchange.answered or time.perf_counter()) - exchange.began
        self.metrics.requests.labels(_method(scope), route, str(exchange.status)).observe(seconds)
        level = logging.DEBUG if route in ("/healthz", "/readyz", "/metrics") else logging.INFO
        extra = {"method": _method(scope), "route": route, "status": exchange.status}
        log.log(level, "request", extra=extra | {"milliseconds": round(1000 * seconds, 1), "bytes": exchange.received})


class _Exchange:
    """One request and its response: counts, limits and hardens what passes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, slowest: float, https: bool) -> None:
        self.scope, self._receive, self._send, self.slowest, self.https = scope, receive, send, slowest, https
        self.began, self.answered, self.status = time.perf_counter(), 0.0, 0
        self.received, self._whole = 0, scope["type"] == "websocket"
        self.refusal: _Refused | None = None  # why the rest of the request is not read; the framework may hide it

    async def receive(self) -> Message:
        """Take the next piece of the body; once it is whole, wait for the end of the connection without limit."""
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self.slowest)
        except TimeoutError:
            self.refusal = _Refused(408, f"nothing came for {self.slowest:g} seconds; send the rest again")
            raise self.refusal from None
        self._whole = not message.get("more_body", False)
        self.received += len(message.get("body", b""))
        if self.received > LARGEST_BODY and not _takes_files(self.scope):
            self.refusal = _Refused(413, f"the request is too large; at most {LARGEST_BODY} bytes are taken here")
            raise self.refusal
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the response, its head with the headers that every response has."""
        if self.refusal is not None and not self.status:
            return  # what the framework makes of it; ``refuse`` says it better
        if message["type"] == "http.response.start":
            self.answered, self.status = time.perf_counter(), message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if self.https:
                headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        await self._send(message)

    async def refuse(self, refusal: _Refused) -> None:
        """Answer with the reason, unless the response has begun, and close the connection."""
        if self.scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": 1008, "reason": refusal.line[:120]})
            return
        if self.status:
            return
        self.refusal = None
        body = json.dumps({"detail": refusal.line}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _same_site(headers: Headers, host: str) -> bool:
    """Whether a request that changes something comes from our own page, or from no browser at all."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or address_parts(origin).netloc == host


def _takes_files(scope: Scope) -> bool:
    return bool(scope["path"].startswith(UPLOADS))


def _plain_host(host: str) -> bool:
    return bool(host) and all(letter.isalnum() or letter in ".-:[]_" for letter in host)


_METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")


def _method(scope: Scope) -> str:
    """The method, if it is one that exists: others would make endless labels of metrics."""
    method: Any = scope["method"]
    return method if method in _METHODS else "other"
