"""The agent engine: language models write candidates, in branches, from what the judge may tell of earlier ones."""

from __future__ import annotations

from kernelwright.engines.agent.agent import Agent
from kernelwright.engines.agent.dialogue import Elsewhere
from kernelwright.engines.agent.meter import Meter

__all__ = ["Agent", "Elsewhere", "Meter"]
