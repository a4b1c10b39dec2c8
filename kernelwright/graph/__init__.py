"""Helpers over FX graphs: queries, edits, flattening, printing. We add no IR of our own."""
