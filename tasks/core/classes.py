"""What the classes are called, in general and one by one."""

from collections.abc import Sequence

DIGITS = tuple("0123456789")
"""The classes of MNIST."""


def noun(classes: Sequence[str]) -> str:
    """Return what a class is called in a sentence: a digit where all of them are digits."""
    return "digit" if set(classes) <= set(DIGITS) else "class"


def nouns(classes: Sequence[str]) -> str:
    """Return the plural of `noun`."""
    return "digits" if noun(classes) == "digit" else "classes"
