"""Measures candidates. The judge process owns reference, inputs, comparison and clock; workers own candidates."""
