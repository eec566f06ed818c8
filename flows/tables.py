"""Rows of words and numbers under a header, as aligned lines of plain text."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

WIDTH = 100  # columns


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; ``left`` columns are words, the others numbers."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int
    styles: list[str] = field(default_factory=list)


def lines(table: Table) -> Iterator[str]:
    """Return the header and each row, in columns as wide as their widest text."""
    rows = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if number < table.left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def wrapped(text: str, indent: int) -> list[str]:
    """Return ``text`` in lines of at most `WIDTH`, each ``indent`` columns to the right."""
    margin = " " * indent
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
