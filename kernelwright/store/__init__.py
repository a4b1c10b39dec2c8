"""Remembers: every trial and every choice, in one SQLite file."""

from __future__ import annotations

from kernelwright.store.database import SCHEMA
from kernelwright.store.store import Found, Record, Removed, TrialStore, open_store

__all__ = ["SCHEMA", "Found", "Record", "Removed", "TrialStore", "open_store"]
