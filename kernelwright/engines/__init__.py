"""Engines propose candidates. They see the task and the history; they never build, time, compare or store."""
