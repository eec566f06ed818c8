"""Pages from the templates in ``tasks/templates``; whatever is put in is escaped."""

from pathlib import Path
from typing import Any

from tasks.core import report_words
from tasks.io import files

TEMPLATES = Path(__file__).parent.parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a template filled in; its filters are functions of `tasks.core.report_words`.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that is not among ``values``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for words in (report_words.percent, report_words.count, report_words.duration):
        environment.filters[words.__name__] = words
    return environment.get_template(template).render(**values)


def write(template: str, path: Path, **values: Any) -> None:
    """Write a template, filled in, to ``path``."""
    files.write_bytes(path, render(template, **values).encode())
