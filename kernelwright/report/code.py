"""Code with its words in spans. Pygments, which comes with `kernelwright[report]`, escapes the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import markupsafe
import pygments
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import String, _TokenType
from pygments.util import ClassNotFound

KERNEL = ("#include", 'extern "C"', "kernel void")  # what a string holds that is a program of its own

Token = tuple[_TokenType, str]


def highlighted(code: str, language: str = "python") -> markupsafe.Markup:
    """HTML for a <pre>. A language that is not known is shown plain."""
    try:
        tokens = lexed(code, language)
    except ClassNotFound:
        tokens = lexed(code, "text")
    if language in ("python", "py"):
        tokens = kernels_lexed(tokens)
    return markupsafe.Markup(pygments.format(tokens, HtmlFormatter(nowrap=True)))


def lexed(code: str, language: str) -> Iterable[Token]:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False).get_tokens(code)


def kernels_lexed(tokens: Iterable[Token]) -> Iterator[Token]:
    """A string of several lines that holds C++ or Metal is read as that, between its first line and its last."""
    for is_string, group in groupby(tokens, key=lambda token: token[0] in String):
        pieces = list(group)
        text = "".join(piece for _, piece in pieces)
        first, last = text.find("\n") + 1, text.rfind("\n") + 1
        if not is_string or first == last or not any(word in text for word in KERNEL):
            yield from pieces
            continue
        yield String, text[:first]
        yield from lexed(text[first:last], "cpp")
        yield String, text[last:]
