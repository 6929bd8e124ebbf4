"""Clients that send slowly, or nothing, do not hold the server up."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import uvicorn

from dithead.serve import server as server_module
from dithead.serve.guard import Guard
from dithead.serve.server import ImpatientProtocol


def test_a_body_that_stops_coming_is_answered_with_408_and_the_upload_can_go_on(server):
    begun = server.client.post("/v1/uploads", params={"name": "a.mp4", "size": 10}, content=b"12345").json()
    guard = Guard(server.app, server.state.options, server.state.metrics, slowest=0.2)
    sent: list[Any] = []
    pieces = [{"type": "http.request", "body": b"67", "more_body": True}]

    async def receive() -> Any:
        if not pieces:
            await asyncio.sleep(60)
        return pieces.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"upload-offset", b"5"), (b"content-length", b"5")]
    path = f"/v1/uploads/{begun['id']}"
    scope = {"type": "http", "method": "PATCH", "path": path, "raw_path": b"", "headers": headers,
             "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1", "client": ("c", 1),
             "server": ("s", 1), "extensions": {}}  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert b"send the rest again" in sent[1]["body"]
    assert server.client.get(f"/v1/uploads/{begun['id']}").json()["offset"] >= 5


@pytest.fixture
def port(server, monkeypatch):
    """A server on a real socket that waits half a second for the head of a request."""
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(server.app, http=ImpatientProtocol, log_config=None, lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: running.run(sockets=[listener]), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    running.should_exit = True
    thread.join(10)
    listener.close()


def test_a_connection_without_a_request_is_closed_and_others_are_served(port):
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        with socket.create_connection(("127.0.0.1", port)) as quick:
            quick.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in quick.recv(4096)
        slow.settimeout(15)
        began = time.monotonic()
        assert slow.recv(4096) == b""
        assert time.monotonic() - began < 10


def test_small_answers_do_not_wait_for_the_clients_acknowledgement(server):
    options = replace(server.state.options)
    object.__setattr__(options, "port", 0)

    async def accepted() -> bool:
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def look(_: Any, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            seen.set_result(bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        async with await asyncio.start_server(look, sock=server_module._listen(options)) as listening:
            _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            found = await asyncio.wait_for(seen, 10)
            writer.close()
            return found

    assert asyncio.run(accepted())
