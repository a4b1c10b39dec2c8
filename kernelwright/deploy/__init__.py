"""The winner at work: a module that dispatches to it, and a file that runs without us."""

from __future__ import annotations
