"""Tools for any coding agent, over the Model Context Protocol: what `kernelwright mcp` serves."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from kernelwright.core.errors import MachineError
from kernelwright.settings import Settings

IDLE = 900.0  # seconds after which the judge of a task that nobody asks about is closed


def skill() -> str:
    """A page for an agent: how to use the tools or the commands, and the language of kernels."""
    return (files("kernelwright.mcp") / "SKILL.md").read_text(encoding="utf-8")


def serve(settings: Settings, output: Path, *, port: int | None, root: Path, idle: float = IDLE) -> None:
    """Serve until the client hangs up: over stdin and stdout, or over HTTP on 127.0.0.1 where a port is given.

    output: the folder for kept kernels. root: the folder that reference files must lie in. Raises MachineError
    without the SDK.
    """
    try:
        from kernelwright.mcp import server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("mcp", "mcp_types", "uvicorn", "starlette"):
            raise
        raise MachineError(
            f"'kernelwright mcp' needs the MCP SDK, and {error.name} is not installed; "
            "pip install 'kernelwright[mcp]', or use the same tools as commands: kernelwright task --help"
        ) from error
    if port is None:
        server.over_stdio(settings, output, root, idle)
    else:
        server.over_http(settings, output, root, idle, port)
