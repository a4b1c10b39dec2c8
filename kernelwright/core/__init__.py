"""The nouns of the project. Standard library only; everything above imports from here."""
