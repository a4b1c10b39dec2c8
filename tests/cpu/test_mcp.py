"""A coding agent's loop from the outside: over MCP with the SDK's own client, and as plain commands.

The kernel is honest work: a product whose columns are summed is a product with the summed weights. Baselines are eager
alone here, because compiling them takes a quarter of a minute; all else is as it is served.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from kernelwright import api, mcp, settings
from kernelwright.cli.entry import run
from kernelwright.core.candidate import Written
from kernelwright.core.errors import MachineError
from kernelwright.core.outcome import Keep
from kernelwright.store import open_store

anyio = pytest.importorskip("anyio")
sdk = pytest.importorskip("mcp")

REFERENCE = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.linear = nn.Linear(width, outputs)

    def forward(self, x):
        return torch.sum(self.linear(x), dim=1)


def get_inputs():
    return [torch.rand(512, 512)]


def get_init_inputs():
    return [512, 2048]
"""
KERNEL = '''
import torch
from torch import nn

from kernelwright.runtime import cpp, empty

kernels = cpp(r"""
#include "simd.h"

extern "C" void summed(const float* x, const float* weight, const float* bias, float* total, float* out)
{
    for (long k = 0; k < 512; ++k)
        total[k] = 0.0f;
    for (long n = 0; n < 2048; ++n)
        each<4>(0, 512, [&](long k, int slot, auto lanes) {
            store(total + k, load(total + k, lanes) + load(weight + n * 512 + k, lanes), lanes);
        });
    const float shift = combined<Sum>(bias, 2048);
    for (long i = 0; i < 512; ++i) {
        Sum dot;
        each<4>(0, 512, [&](long k, int slot, auto lanes) {
            dot.take(load(x + i * 512 + k, lanes) * load(total + k, lanes), slot, lanes);
        });
        out[i] = dot.result() + shift;
    }
}
""")


class ModelNew(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.linear = nn.Linear(width, outputs)

    def forward(self, x):
        total, out = empty((512,), torch.float32), empty((512,), torch.float32)
        kernels.summed(x, self.linear.weight, self.linear.bias, total, out)
        return out
'''
WRONG = KERNEL.replace("dot.result() + shift", "dot.result()")
TALKATIVE = KERNEL.replace(
    "        total, out", "        raise ValueError(f'saw {x[0, 0].item()}')\n        total, out"
)

SERVER = """
from functools import partial
from kernelwright import api
api.judging = partial(api.judging, baselines=("eager",))
from kernelwright.cli import main
main()
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test in a folder and with a store of its own, and on one thread: the other core may be busy."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables(tmp_path, cache).items():
        monkeypatch.setenv(name, value)
    for name, text in {"sum.py": REFERENCE, "kernel.py": KERNEL, "wrong.py": WRONG, "talk.py": TALKATIVE}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(api, "judging", partial(api.judging, baselines=("eager",)))
    return tmp_path


def variables(folder: Path, cache: Path) -> dict[str, str]:
    home = str(Path(mcp.__file__).parents[2])
    store, threads = str(folder / "store.sqlite"), "1"
    return {
        "PYTHONPATH": home,
        "KERNELWRIGHT_STORE": store,
        "KERNELWRIGHT_CACHE": str(cache),
        "KERNELWRIGHT_THREADS": threads,
    }


@asynccontextmanager
async def agent(folder: Path, cache: Path) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """An SDK client of a server over stdio: call(tool, ...) gives the answer's facts, or the words of an error."""
    server = sdk.StdioServerParameters(
        command=sys.executable, args=["-c", SERVER, "mcp"], env=variables(folder, cache), cwd=folder
    )
    async with sdk.Client(server) as client:

        async def call(tool: str, stages: list[str] | None = None, **arguments: Any) -> Any:
            async def progress(done: float, total: float | None, message: str | None) -> None:
                if stages is not None:
                    stages.append(message or "")

            answer = await client.call_tool(tool, arguments, progress_callback=progress)
            return answer.content[0].text if answer.is_error else answer.structured_content

        yield call


def test_an_agent_takes_a_task_from_open_to_a_kept_kernel(folder: Path, cache: Path) -> None:
    stages: list[str] = []

    async def story() -> dict[str, Any]:
        async with agent(folder, cache) as call:
            task = (await call("open_task", reference="sum.py"))["task"]
            shown = await call("show_task", task=task)
            return {
                "task": task,
                "shown": shown,
                "tricks": await call("list_tricks", task=task),
                "wrong": await call("judge_candidate", task=task, candidate=WRONG),
                "right": await call("judge_candidate", stages, task=task[:8], candidate="kernel.py", model="tester"),
                "profile": await call("profile_candidate", task=task, candidate=KERNEL),
                "best": await call("show_best", task=task),
                "kept": await call("submit_candidate", task=task, candidate=KERNEL, model="tester"),
            }

    seen = anyio.run(story)
    assert [value["op"] for value in seen["shown"]["graph"]][-2:] == ["aten.linear.default", "aten.sum.dim_IntList"]
    assert seen["shown"]["baseline"]["eager_ms"] > 0 and seen["shown"]["floor_ms"] > 0
    assert "fold_reduction" in [trick["name"] for trick in seen["tricks"]["tricks"]]
    assert (seen["wrong"]["accepted"], seen["wrong"]["stage"]) == (False, "verify")
    assert "times what is allowed" in seen["wrong"]["reason"] and "expected" not in seen["wrong"]["reason"]
    assert stages == ["baselines", "build", "verify", "time"]
    assert seen["right"]["accepted"], seen["right"]
    assert "summed" in [operator["name"] for operator in seen["profile"]["operators"]]
    assert any("vectorized" in line for line in seen["profile"]["compiler"])
    assert seen["best"]["best"]["source"] == KERNEL
    assert seen["kept"]["kept"] and Path(folder / seen["kept"]["written"]).read_text() == KERNEL
    with open_store(folder / "store.sqlite") as store:
        record = store.find(seen["task"]).record
        trials = store.history(store.find(seen["task"]))
    assert isinstance(record.choice, Keep) and record.choice.trial.candidate.origin == Written("tester", "", 0, 0.0)
    assert {trial.engine for trial in trials} == {"agent:mcp"}


def test_what_cannot_be_done_is_said_in_words(folder: Path, cache: Path) -> None:
    (folder / "empty.py").write_text("import torch\n")
    (folder / "notes.txt").write_text("no kernel")

    async def story() -> list[str]:
        async with agent(folder, cache) as call:
            task = (await call("open_task", reference=REFERENCE))["task"]
            return [
                await call("judge_candidate", task="ffffffff", candidate=KERNEL),
                await call("judge_candidate", task=task, candidate="nowhere.py"),
                await call("judge_candidate", task=task, candidate="notes.txt"),
                (await call("judge_candidate", task=task, candidate="empty.py"))["reason"],
                await call("open_task", reference="/tmp/elsewhere.py"),
                await call("open_task", reference="empty.py"),
                await call("open_task", reference="sum.py", gain=0.5),
                await call("open_task", reference="sum.py", device="tpu"),
            ]

    wanted = [
        "digest",
        "no such file",
        "no Python file",
        "no class ModelNew",
        "not under",
        "no class Model",
        "gain",
        "tpu",
    ]
    for words, said in zip(wanted, anyio.run(story), strict=True):
        assert words in said


@pytest.fixture
def address(folder: Path, cache: Path) -> Iterator[str]:
    """Where a server over HTTP listens, on a port that was free."""
    command = [sys.executable, "-c", SERVER, "mcp", "--http", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stderr
        yield server.stderr.readline().split()[-1]
        server.terminate()


def status_of(address: str, **headers: str) -> int:
    """What a ping with these headers is answered with."""
    where = urlsplit(address)
    connection = HTTPConnection(where.hostname or "", where.port)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    usual = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    with closing(connection):
        connection.request("POST", where.path, body, {**usual, **headers})
        return connection.getresponse().status


def test_over_http_it_answers_to_its_own_name_alone(address: str) -> None:
    async def story() -> tuple[str, str]:
        async with sdk.Client(address) as client:
            opened = await client.call_tool("open_task", {"reference": "sum.py"})
            text = await client.call_tool("open_task", {"reference": REFERENCE})
            return opened.structured_content["name"], text.content[0].text

    assert address.startswith("http://127.0.0.1:")
    name, refusal = anyio.run(story)
    assert name == "sum" and "over HTTP a reference is a path" in refusal
    assert status_of(address, Host="evil.example") == 421
    assert status_of(address, Origin="http://evil.example") == 403


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_same_loop_goes_by_plain_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["task", "open", "sum.py"]) == 0
    task = capsys.readouterr().out.strip()
    assert run(["task", "best", task]) == 0
    assert "no kernel was right" in capsys.readouterr().out
    assert run(["task", "judge", task, "talk.py", "--json"]) == 1
    refused = told(capsys)
    assert (
        refused["reason"].startswith("raised ValueError at line") and "saw" not in refused["reason"].partition("`")[0]
    )
    assert "public seed: ValueError: saw" in refused["detail"]
    assert run(["task", "submit", task[:10], "kernel.py", "--author", "me", "--json"]) == 0
    kept = told(capsys)
    assert (kept["kept"], kept["origin"]["author"], kept["engine"]) == (True, "me", "agent:shell")
    assert run(["task", "best", task, "--source"]) == 0
    assert capsys.readouterr().out.strip() == KERNEL.strip()
    assert run(["task", "show", task]) == 0
    shown = capsys.readouterr().out
    assert "aten.linear.default" in shown and "trick      fold_reduction" in shown and "agent:shell" in shown


def test_a_judge_that_nobody_asks_is_closed(folder: Path) -> None:
    from kernelwright.mcp.tools import Tools

    left: list[str] = []
    idler = SimpleNamespace(digest="0123abcd", task=SimpleNamespace(contract=SimpleNamespace(gain=1.03)))
    idler.best, idler.__exit__ = lambda: None, lambda: left.append(idler.digest)

    async def story() -> None:
        with Tools(settings.load(), folder, folder, idle=0.05, texts=True) as tools:
            tools._clerks["0123abcd"] = idler  # type: ignore[assignment]
            assert await tools.show_best("0123", context=None) == {"best": None}  # type: ignore[arg-type]
            while not left:
                await anyio.sleep(0.01)
            assert not tools._clerks

    anyio.run(story)
    assert left == ["0123abcd"]


def test_the_skill_page_names_every_tool_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    from kernelwright.mcp.tools import Tools

    assert run(["mcp", "--skill"]) == 0
    page = capsys.readouterr().out
    tools = [name for name in vars(Tools) if name.endswith(("_task", "_tricks", "_candidate", "_best"))]
    assert len(tools) == 7 and all(name in page for name in tools)
    assert all(f"task {command}" in page for command in ("open", "show", "judge", "profile", "best", "submit"))


def test_without_the_sdk_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("kernelwright.mcp.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(MachineError, match=r"pip install 'kernelwright\[mcp\]'"):
        mcp.serve(None, folder, port=None, root=folder)  # type: ignore[arg-type]
