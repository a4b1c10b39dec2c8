"""A run's folder as live pages, on this machine alone: what `kernelwright serve` answers with.

Starlette and uvicorn come with `kernelwright[report]`; only this file imports them.
"""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from kernelwright.core.errors import MachineError, UsageError
from kernelwright.core.run import Entry, Run
from kernelwright.report import pages, views
from kernelwright.report.run import entry_file, read_entry, read_run

LOOPBACK = "127.0.0.1"  # no option changes it: kernels and prompts are nobody else's
HOSTS = [LOOPBACK, "localhost"]  # a page of a foreign name that resolves to this machine is refused (DNS rebinding)
KINDS = {"css": "text/css", "js": "text/javascript"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
POLICY += "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Live:
    """A run's folder that others write to. An entry is read once for each time that its file changed."""

    folder: Path
    read: dict[Path, tuple[int, Entry]] = field(default_factory=dict[Path, tuple[int, Entry]])

    def run(self) -> Run:
        return read_run(self.folder)

    def entries(self, run: Run) -> tuple[Entry, ...]:
        return tuple(self._entry(file, name, changed) for name, file, changed in self._files(run))

    def state(self) -> dict[str, Any]:
        """How far the run is, and a version that is another one when a page would be."""
        run = self.run()
        files = self._files(run)
        version = hashlib.sha256(repr([(name, changed) for name, _, changed in files]).encode()).hexdigest()
        return {"done": len(files), "total": len(run.problems), "version": version}

    def _files(self, run: Run) -> list[tuple[str, Path, int]]:
        files = ((name, entry_file(self.folder, name)) for name in run.problems)
        return [(name, file, file.stat().st_mtime_ns) for name, file in files if file.exists()]

    def _entry(self, file: Path, name: str, changed: int) -> Entry:
        if self.read.get(file, (None,))[0] != changed:
            self.read[file] = (changed, read_entry(file, name))
        return self.read[file][1]


def app(folder: Path) -> Starlette:
    """The pages of `report`, rendered anew for each request. Raises UsageError where `folder` is no run."""
    live = Live(folder)
    live.run()
    answers = {
        "/": lambda request: RedirectResponse("/index.html"),
        "/index.html": partial(index, live),
        "/problems/{page:path}": partial(problem, live),
        "/assets/{name}": asset,
        "/state.json": lambda request: JSONResponse(live.state(), headers=HEADERS),
    }
    return Starlette(
        routes=[Route(path, answer) for path, answer in answers.items()],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
        exception_handlers={UsageError: broken},
    )


def index(live: Live, request: Request) -> Response:
    run = live.run()
    return HTMLResponse(pages.index(run, live.entries(run), live=True), headers=HEADERS)


def problem(live: Live, request: Request) -> Response:
    run = live.run()
    entries = {views.page_of(entry.problem.name): entry for entry in live.entries(run)}
    entry = entries.get(request.path_params["page"])
    if entry is None:
        raise HTTPException(404, "no such problem in this run, or it is not done yet")
    names = [one.problem.name for one in entries.values()]
    text = pages.problem(run, entry, names, live=True)
    return HTMLResponse(text, headers=HEADERS)


def asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in pages.ASSETS:
        raise HTTPException(404)
    kind = KINDS[name.rpartition(".")[2]]
    return Response(pages.asset(name), media_type=kind, headers=HEADERS | {"Cache-Control": "no-cache"})


def broken(request: Request, error: Exception) -> Response:
    """A file of the run that cannot be read, while we look: said in place of the page."""
    return PlainTextResponse(f"kernelwright: {error}", 503, headers=HEADERS)


def listening(port: int) -> socket.socket:
    """A socket on the loopback interface; port 0 takes any that is free. Raises MachineError where it is taken."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((LOOPBACK, port))
        opened.listen()
    except OSError as error:
        opened.close()
        raise MachineError(
            f"cannot listen on {LOOPBACK}:{port}: {error.strerror}; name another port with --port, or 0 for a free one"
        ) from error
    return opened


def address(opened: socket.socket) -> str:
    return f"http://{LOOPBACK}:{opened.getsockname()[1]}/"


def serve(folder: Path, opened: socket.socket) -> None:
    """Answer on this socket until interrupted."""
    config = uvicorn.Config(app(folder), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[opened])
