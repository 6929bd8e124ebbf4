"""Runs the server with uvicorn, after checking that nobody but this machine can reach it without a key."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dithead.errors import ConfigError
from dithead.serve.access import needs_key
from dithead.serve.app import create_app
from dithead.serve.options import ServeOptions
from dithead.serve.routers.live import LARGEST_SPEECH
from dithead.serve.state import ServerState

log = logging.getLogger("dithead.serve")
HEAD_SECONDS = 30.0
"""Seconds in which a client must have sent the head of its first request (our choice)."""
_MOST_CONNECTIONS = 2000  # at once; more are answered with 503 (our choice)


class ImpatientProtocol(H11Protocol):
    """Closes connections on which no request comes: uvicorn waits for the first one without end."""

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._head_timer.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Stop the clock: the connection goes on as another protocol."""
        self._head_timer.cancel()
        super().handle_websocket_upgrade(event)

    def _close_if_silent(self) -> None:
        if not self.cycle and not self.transport.is_closing():
            self.transport.close()


def run_server(options: ServeOptions) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        ConfigError: The address is taken, or a key is needed and there is none.
        OutputError: The data folder cannot be used.
    """
    app = create_app(options)
    state: ServerState = app.state.server
    if needs_key(state) and not state.keys.any():
        raise ConfigError(_no_key(options))
    listener = _listen(options)
    host, port = listener.getsockname()[:2]
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    log.info("server starts", extra={"address": where})
    sys.stderr.write(f"dithead: open {where} in a browser; Ctrl-C ends the server, and unfinished jobs go on later\n")
    asyncio.run(uvicorn.Server(uvicorn_config(app)).serve(sockets=[listener]))


def _no_key(options: ServeOptions) -> str:
    """Why a server without keys does not start."""
    make = "so the server needs a key; make one with: dithead api-keys add NAME"
    if not options.on_loopback or options.site or options.https:
        return f"others can reach the server (--host, --site or --https), {make}"
    return f"the server had keys and none is left, {make}; or let everybody on this machine in: dithead api-keys open"


def uvicorn_config(app: Any) -> uvicorn.Config:
    """Return how uvicorn is to serve the application."""
    return uvicorn.Config(
        app,
        http=ImpatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=32768,
        ws_max_size=2 * LARGEST_SPEECH,  # what is a little too large gets a line, what is more ends the connection
        ws_per_message_deflate=False,  # pictures are compressed already
    )


def _listen(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # asyncio sends small answers at once (TCP_NODELAY) only where the socket names its protocol; else each waits for
    # the client's delayed acknowledgement, 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{options.host}:{options.port} cannot be used ({error.strerror}); give another --port"
        ) from None
    listener.listen(1024)
    return listener
