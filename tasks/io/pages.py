"""Pages from the templates in ``tasks/templates``; whatever is put in is escaped.

By itself in HTML; a template of Markdown uses the filters ``text`` and ``code``.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import markdown, report_words
from tasks.io import files

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent.parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a template filled in; its filters are functions of `tasks.core.report_words`.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that is not among ``values``.
    """
    return _environment().get_template(template).render(**values)


def write(template: str, path: Path, **values: Any) -> None:
    """Write a template, filled in, to ``path``."""
    files.write_bytes(path, render(template, **values).encode())


@cache
def _environment() -> "Environment":
    """Return the one environment: it keeps the templates that it has read."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: not (name or "").endswith(".md"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (report_words.percent, report_words.count, report_words.duration)
    for function in (*filters, markdown.text, markdown.code):
        environment.filters[function.__name__] = function
    return environment
