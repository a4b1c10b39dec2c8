"""A server on the loopback interface that speaks as OpenAI's and Anthropic's do, and answers from a script."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

TOKENS = (700, 300)  # in and out, that every reply says it took


@dataclass(frozen=True)
class Say:
    """A reply. `pause`: seconds between pieces of its body. `cut`: bytes of the body that are sent at all."""

    text: str
    pause: float = 0.0
    cut: int | None = None
    finish: str = "stop"


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    body: str = '{"error": {"message": "no"}}'
    headers: tuple[tuple[str, str], ...] = ()


Step = Say | Fail | str | Callable[["Server", Any], Say | Fail]


@dataclass
class Server:
    """What was asked, and what is still to be answered, by model."""

    script: dict[str, list[Step]]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def next_step(self, request: dict[str, Any], key: str) -> Say | Fail:
        with self.lock:
            self.requests.append(request)
            self.keys.append(key)
            steps = self.script[request["model"]]
            step = steps.pop(0) if steps else Fail(404, '{"error": {"message": "the script is over"}}')
        if isinstance(step, str):
            return Say(step)
        return step if isinstance(step, (Say, Fail)) else step(self, request)

    def prompt(self, number: int) -> str:
        """All that was sent in one request."""
        return "\n".join(text(message["content"]) for message in self.requests[number]["messages"])


def text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


class Listening(ThreadingHTTPServer):
    """Says nothing where a client hangs up, as one does that waits no longer."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(**script: Sequence[Step]) -> Iterator[Server]:
    server = Server({model: list(steps) for model, steps in script.items()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers.get("Authorization") or self.headers.get("x-api-key", "")
            answer(self, server.next_step(request, key), request["model"])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with Listening(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{listening.server_port}/v1"
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def answer(handler: BaseHTTPRequestHandler, step: Say | Fail, model: str) -> None:
    headers = dict(step.headers) if isinstance(step, Fail) else {}
    speak = message if handler.path.endswith("/messages") else completion
    body = (step.body if isinstance(step, Fail) else speak(step, model)).encode()
    handler.send_response(step.status if isinstance(step, Fail) else 200)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if isinstance(step, Fail):
        handler.wfile.write(body)
        return
    body = body[: step.cut]
    piece = max(len(body) // 8, 1)
    for start in range(0, len(body), piece):
        handler.wfile.write(body[start : start + piece])
        handler.wfile.flush()
        time.sleep(step.pause)
    handler.close_connection = step.cut is not None


def completion(step: Say, model: str) -> str:
    message = {"role": "assistant", "content": step.text}
    usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)}
    choice = {"index": 0, "message": message, "finish_reason": step.finish}
    return json.dumps({
        "id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage,
    })  # fmt: skip


def message(step: Say, model: str) -> str:
    """The same reply as Anthropic's server gives it; all but ten of its tokens came from the cache."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": TOKENS[0] - 10, "output_tokens": TOKENS[1]}
    return json.dumps({
        "id": "1", "type": "message", "role": "assistant", "model": model, "usage": usage,
        "content": [{"type": "text", "text": step.text}], "stop_reason": "end_turn", "stop_sequence": None,
    })  # fmt: skip
