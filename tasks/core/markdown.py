"""Text as Markdown that shows it: nothing in it becomes markup.

For GitHub's flavour: tables, autolinks in brackets, HTML between the lines.
"""

import re

_MARKUP = re.compile(r"([\\`*_\[\]<>|~#&])")
_START = re.compile(r"^([-+](?=\s|$)|[-=](?=[-=]*$)|\d+(?=[.)](?:\s|$)))")


def text(value: object) -> str:
    """Return a value as one line of Markdown that reads as the value does."""
    return _START.sub(_harmless, _MARKUP.sub(r"\\\1", _one_line(value)))


def code(value: object) -> str:
    """Return a value as code within a line: the fence is longer than any within."""
    line = _one_line(value)
    fence = "`" * (_longest_run(line) + 1)
    gap = " " if "`" in line else ""
    # Within a table a bar ends the cell, in code too.
    return f"{fence}{gap}{line.replace('|', chr(92) + '|')}{gap}{fence}"


def _one_line(value: object) -> str:
    # ASCII: the thin space between a number and its unit is to stay one.
    return re.sub(r"\s+", " ", str(value), flags=re.ASCII).strip(" ")


def _longest_run(line: str) -> int:
    return max((len(run) for run in re.findall("`+", line)), default=0)


def _harmless(start: re.Match[str]) -> str:
    """Keep a line from beginning a list or underlining a heading."""
    found = start[1]
    return f"{found}\\" if found.isdigit() else f"\\{found}"
