"""What a model card is made of: facts about a version in, blocks of text and tables out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple


class Facts(NamedTuple):
    """What the registry holds of one version.

    ``time`` is UTC, ``by`` a name and a mail; they and ``record``, the JSON of the message,
    are the tag's. ``files`` maps a path to its content, parsed, as the version's commit holds
    it; a path that the commit lacks is no key.
    """

    artifact: str
    version: str
    commit: str
    time: datetime
    by: str
    record: Mapping[str, Any]
    files: Mapping[str, Any]


@dataclass(frozen=True)
class Code:
    """Text that is set as it is: a hash, a path, a name in a program."""

    text: str


Inline = str | Code


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; ``soft`` for what only explains."""

    text: str
    soft: bool = False
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: Sequence[str]
    kind: ClassVar[str] = "items"


@dataclass(frozen=True)
class Pairs:
    """Names with what they stand for."""

    pairs: Sequence[tuple[str, Inline]]
    kind: ClassVar[str] = "pairs"


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first column names the row."""

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Commands:
    """Lines to type into a terminal."""

    lines: Sequence[str]
    kind: ClassVar[str] = "commands"


Block = Paragraph | Items | Pairs | Table | Commands
Part = Callable[[Facts], Sequence[Block]]


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


def told(part: Part, facts: Facts) -> Sequence[Block]:
    """Return the blocks of ``part``; where the version does not record its facts, that.

    A version may have been registered by other code than this, years before: what it lacks,
    or holds in another form, must not keep its card from telling the rest.
    """
    try:
        return part(facts)
    except KeyError as error:
        return [Paragraph(f"Not recorded in this version's tag and commit: {error.args[0]}.")]
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        return [Paragraph(f"Recorded in a form that this card does not read: {error}.")]
