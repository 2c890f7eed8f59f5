"""A real server on the loopback interface that breaks off, ignores ranges, or changes its file: for tests of downloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    """What the server serves and how it misbehaves; ``requests`` holds the headers of every request."""

    content: bytes = b""
    url: str = ""
    etag: str | None = '"one"'
    ranges: bool = True
    length: bool = True
    said_length: bool = True  # in the answer to a range behind the file's end
    break_after: list[int] = field(default_factory=list)  # bytes after which an answer breaks off, answer by answer
    statuses: list[int] = field(default_factory=list)  # failures before the first real answer
    headers: dict[str, str] = field(default_factory=dict)  # further ones of an answer with the file
    reason: str | None = None  # what is said beside a failure's number
    pause: float = 0.0  # seconds between two kilobytes
    requests: list[dict[str, str]] = field(default_factory=list)
    on_request: Any = None

    def sent_ranges(self) -> list[str | None]:
        return [r.get("Range") for r in self.requests]


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            server.requests.append({**dict(self.headers), "path": self.path})
            if server.on_request:
                server.on_request()
            if server.statuses:
                self.send_error(server.statuses.pop(0), server.reason)
                return
            start = self._start()
            if start and start >= len(server.content):
                self.send_response(416)
                if server.said_length:
                    self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = server.content[start:]
            self.send_response(206 if start else 200)
            for name, value in server.headers.items():
                self.send_header(name, value)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
            if server.length:
                self.send_header("Content-Length", str(len(body)))
            if server.etag:
                self.send_header("ETag", server.etag)
            self.end_headers()
            cut = server.break_after.pop(0) if server.break_after else len(body)
            for i in range(0, min(cut, len(body)), 1024):
                self.wfile.write(body[i : min(i + 1024, cut)])
                self.wfile.flush()
                time.sleep(server.pause)
            if cut < len(body):
                self.connection.close()

        def _start(self) -> int:
            asked = self.headers.get("Range")
            changed = self.headers.get("If-Range") not in (None, server.etag)
            return 0 if asked is None or changed or not server.ranges else int(asked.removeprefix("bytes=").rstrip("-"))

    return Handler


@contextmanager
def serving() -> Iterator[Server]:
    """A server at work; what it serves is set on it."""
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    http.handle_error = lambda *_: None  # type: ignore[method-assign]
    state.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()
