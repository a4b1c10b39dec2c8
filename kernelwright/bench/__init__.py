"""Runs a suite: each problem through the flow in a process of its own, what came of it kept as it comes."""
