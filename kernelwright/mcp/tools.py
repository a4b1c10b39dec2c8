"""The tools: each parses what a client sent, has a clerk do it, and answers with JSON values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from kernelwright import clerk as office
from kernelwright.clerk import Clerk, facts
from kernelwright.core.candidate import Written
from kernelwright.core.errors import KernelwrightError, UsageError
from kernelwright.settings import Settings

ENGINE = "agent:mcp"
UNNAMED = "an unnamed agent"

Facts = dict[str, Any]
T = TypeVar("T")


class Tools:
    """The tasks that are open, each with its clerk. A context manager: no judge outlives it.

    All work is done by one thread, one thing after the other: what is timed has the machine for itself.
    """

    def __init__(self, settings: Settings, output: Path, root: Path, idle: float, texts: bool) -> None:
        self._settings, self._output, self._root = settings, output, root.resolve()
        self._idle, self._texts = idle, texts
        self._clerks: dict[str, Clerk] = {}
        self._used: dict[str, float] = {}
        self._hand = ThreadPoolExecutor(1, "kernelwright")

    def __enter__(self) -> Tools:
        return self

    def __exit__(self, *exception: object) -> None:
        for digest in list(self._clerks):
            self._hand.submit(self._close, digest)
        self._hand.shutdown()

    @property
    def all(self) -> tuple[Callable[..., Any], ...]:
        return (
            self.open_task,
            self.show_task,
            self.list_tricks,
            self.judge_candidate,
            self.profile_candidate,
            self.show_best,
            self.submit_candidate,
        )

    async def open_task(
        self,
        reference: str,
        context: Context,
        gain: float | None = None,
        precision: Literal["parity", "tf32"] | None = None,
        robustness: Literal["reported", "binding"] | None = None,
        layouts: Literal["fixed", "any"] | None = None,
        device: str | None = None,
    ) -> Facts:
        """Open one thing to speed up; the answer's `task` is the handle for all other tools.

        reference: the path of a file that defines Model, get_inputs() and get_init_inputs(), or its text. It is run
        in the server's process: open only references that you trust. The others are terms of the contract: the least
        speed-up worth keeping (1.03), the class of precision, whether unusual inputs reject or are only reported,
        whether strides of inputs may vary.
        """

        def work() -> Facts:
            terms = office.contract(gain=gain, precision=precision, robustness=robustness, layouts=layouts)
            settings = replace(self._settings, device=device or self._settings.device)
            clerk = self._admitted(Clerk(self._subject(reference, settings, terms), settings, ENGINE))
            return facts.opened(clerk.subject.name, clerk.task)

        return await self._done(work)

    async def show_task(self, task: str, context: Context) -> Facts:
        """The graph with shapes, strides, bytes and operations, the roofline's floor, PyTorch's own times, the best.

        The first call measures PyTorch, eager and compiled, which takes up to a minute; the judge stays open.
        """
        return await self._asked(task, context, facts.shown)

    async def list_tricks(self, task: str, context: Context) -> Facts:
        """The graph rewrites whose preconditions hold on this task: before -> after, why faster, what accuracy."""
        return await self._asked(task, context, lambda clerk: {"tricks": [facts.named(t) for t in clerk.tricks()]})

    async def judge_candidate(self, task: str, candidate: str, context: Context, model: str = "") -> Facts:
        """Check and time one kernel's file: audit, build, verify, time. `accepted`: right and surely faster.

        candidate: the path of a Python file that defines ModelNew, or its text. It runs in a sandboxed worker only.
        model: the language model that wrote it, for the record. Every trial is remembered.
        """
        origin = _origin(model, context)
        text = await self._done(partial(office.candidate_text, candidate))
        return await self._asked(
            task, context, lambda clerk: facts.tried(clerk.judge(text, origin), clerk.task.contract.gain)
        )

    async def profile_candidate(self, task: str, candidate: str, context: Context, model: str = "") -> Facts:
        """Where a candidate's time goes, operator by operator, and what the compiler says of its C++ text.

        On inputs of a public seed. The candidate's own worker tells: advice, proof of nothing.
        """
        origin = _origin(model, context)
        text = await self._done(partial(office.candidate_text, candidate))
        return await self._asked(task, context, lambda clerk: facts.profiled(clerk.profile(text, origin)))

    async def show_best(self, task: str, context: Context) -> Facts:
        """The right kernel that is surely fastest so far, of any author: source, speed-up, origin."""
        return await self._asked(task, context, lambda clerk: {"best": facts.best(clerk)})

    async def submit_candidate(self, task: str, candidate: str, context: Context, model: str = "") -> Facts:
        """Hand in a kernel: it is examined again, and kept as the decision where right and surely faster.

        `written` is the path of the kept kernel; where it was not kept, `why` says so.
        """
        origin = _origin(model, context)
        text = await self._done(partial(office.candidate_text, candidate))

        def work(clerk: Clerk) -> Facts:
            return facts.submitted(clerk.submit(text, origin, self._output), clerk.task.contract.gain)

        return await self._asked(task, context, work)

    async def _asked(self, task: str, context: Context, work: Callable[[Clerk], Facts]) -> Facts:
        """What a clerk answers, with a progress notification as each part of the work begins."""
        loop, count = asyncio.get_running_loop(), iter(range(1, 1_000_000))

        def tell(stage: str) -> None:
            asyncio.run_coroutine_threadsafe(context.report_progress(next(count), message=stage), loop)

        def step() -> tuple[Facts, str]:
            clerk = self._clerk(task)
            clerk.tell = tell
            try:
                return work(clerk), clerk.digest
            finally:
                self._used[clerk.digest] = time.monotonic()

        answer, digest = await self._done(step)
        loop.call_later(self._idle, lambda: self._hand.submit(self._close_idle, digest))
        return answer

    async def _done(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hand, work)
        except KernelwrightError as error:
            raise ToolError(str(error)) from error

    # What follows runs in the one thread.

    def _subject(self, reference: str, settings: Settings, terms: Any) -> Any:
        if not office.is_path(reference):
            if not self._texts:
                raise UsageError(f"over HTTP a reference is a path under {self._root}: its text would run here")
            return office.open_text("Model", reference, settings, terms)
        path = (self._root / reference).resolve()
        if not path.is_relative_to(self._root):
            raise UsageError(f"{path} is not under {self._root}, where references are opened; start with --root DIR")
        return office.open_file(path, settings, terms)

    def _clerk(self, task: str) -> Clerk:
        for digest, clerk in self._clerks.items():
            if len(task) >= 4 and digest.startswith(task):
                return clerk
        return self._admitted(Clerk(office.from_store(task, self._settings), self._settings, ENGINE))

    def _admitted(self, clerk: Clerk) -> Clerk:
        return self._clerks.setdefault(clerk.digest, clerk)

    def _close_idle(self, digest: str) -> None:
        """Unless it was asked something since this was planned."""
        if time.monotonic() - self._used.get(digest, 0.0) >= self._idle:
            self._close(digest)

    def _close(self, digest: str) -> None:
        if clerk := self._clerks.pop(digest, None):
            clerk.__exit__()


def _origin(model: str, context: Context) -> Written:
    """Who wrote it, as the client says."""
    client = context.session.client_params
    name = model or (client.client_info.name if client else "") or UNNAMED
    return Written(name[:100], conversation="", tokens=0, cost=0.0)
