"""Model cards on disk: the facts of every version from its tag and commit, the pages from them.

Nothing is read but the registry, so that a clone writes the same cards, of old versions too.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.core import card
from tasks.core.card_blocks import Facts
from tasks.core.card_data import DATASET, REVIEWS
from tasks.core.card_decision import DECISION
from tasks.core.card_origin import KNOWN
from tasks.core.card_results import ABSTENTION, CALIBRATION, FIGURES, MODELS, PARAMS
from tasks.io import git, pages, registry

LIST = "index.html"

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")


def write(root: Path, artifact: str, folder: Path) -> set[str]:
    """Write each version's card to ``folder``, as HTML and Markdown, and the list of all.

    Returns
    -------
    set of str
        The versions that have a card.
    """
    found = read(root, artifact)
    for facts in found:
        content = card.card(facts)
        for kind in ("html", "md"):
            values = {"card": content, "version": facts.version}
            pages.write(f"card.{kind}", folder / f"{facts.version}.{kind}", **values)
    lines = [card.line(facts) for facts in found]
    pages.write("cards.html", folder / LIST, artifact=artifact, lines=lines)
    return {facts.version for facts in found}


def read(root: Path, artifact: str) -> list[Facts]:
    """Return the facts of every version of ``artifact``, the highest version first.

    From the tags alone: the registry's own list reads the YAML of every version's commit.
    """
    tags = git.tags(root, f"{artifact}@*")
    versions = {tag.name.removeprefix(f"{artifact}@"): tag for tag in tags}
    known = [version for version in versions if _VERSION.fullmatch(version)]
    return [
        _facts(root, artifact, version, versions[version])
        for version in sorted(known, key=_order, reverse=True)
    ]


def _order(version: str) -> tuple[list[int], bool]:
    parts = re.findall(r"\d+", version)[:3]
    return [int(part) for part in parts], "-" not in version  # what leads up to a version is older


def _facts(root: Path, artifact: str, version: str, tag: git.Tag) -> Facts:
    held = git.contents(root, tag.commit, _READERS)
    # A file that is not of its kind is like one that is missing.
    parsed = {path: _READERS[path](content) for path, content in held.items()}
    files = {path: content for path, content in parsed.items() if content is not None}
    return Facts(artifact, version, tag.commit, tag.time, tag.by, registry.told(tag.message), files)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _yaml(content: bytes) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(content.decode())
    except (YAMLError, UnicodeDecodeError):
        return None


_READERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys((FIGURES, DECISION, MODELS, ABSTENTION, CALIBRATION), _json),
    **dict.fromkeys((KNOWN, REVIEWS, DATASET), _json),
    PARAMS: _yaml,
}
"""What is read of a version's commit, and how."""
