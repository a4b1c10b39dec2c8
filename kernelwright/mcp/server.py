"""The MCP server around the tools: over stdin and stdout, or over HTTP on 127.0.0.1 alone."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from kernelwright.core.errors import MachineError
from kernelwright.mcp import skill
from kernelwright.mcp.tools import Tools
from kernelwright.settings import Settings

HOST = "127.0.0.1"


def over_stdio(settings: Settings, output: Path, root: Path, idle: float) -> None:
    """Until the client, which started this process, closes stdin."""
    with Tools(settings, output, root, idle, texts=True) as tools:
        anyio.run(served(tools).run_stdio_async)


def over_http(settings: Settings, output: Path, root: Path, idle: float, port: int) -> None:
    """Streamable HTTP, until interrupted. Port 0 takes a free one; the address is told on stderr.

    Anyone on this machine may connect, so references are files under `root`, never texts. Requests that name another
    host, or come from a page of another origin, are refused: a browser cannot be made to speak for its user.
    """
    with Tools(settings, output, root, idle, texts=False) as tools:
        anyio.run(_serve, tools, port)


def served(tools: Tools) -> MCPServer:
    server = MCPServer("kernelwright", instructions=skill(), version=_version(), log_level="WARNING")
    for tool in tools.all:
        server.add_tool(tool)
    return server


async def _serve(tools: Tools, port: int) -> None:
    config = uvicorn.Config("", host=HOST, port=port, log_level="warning")
    try:
        bound = config.bind_socket()
    except SystemExit:
        raise MachineError(
            f"port {port} of {HOST} cannot be had; name another with --port, or 0 for a free one"
        ) from None
    here = f"{HOST}:{bound.getsockname()[1]}"
    allowed = TransportSecuritySettings(allowed_hosts=[here], allowed_origins=[f"http://{here}"])
    config.app = served(tools).streamable_http_app(host=HOST, transport_security=allowed)
    print(f"serving on http://{here}/mcp", file=sys.stderr, flush=True)
    await uvicorn.Server(config).serve([bound])


def _version() -> str:
    try:
        return version("kernelwright")
    except PackageNotFoundError:
        return ""
