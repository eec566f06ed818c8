"""How long each model took: a file apart, so that equal models have equal folders."""

from pathlib import Path

from tasks.io import files

FOLDER = Path("reports/timing")


def path(folder: Path) -> Path:
    """Return the timing file of the model whose files stand in ``folder``."""
    return FOLDER / folder.parent.name / f"{folder.name}.json"


def write(folder: Path, seconds: float) -> None:
    """Note the seconds that the model in ``folder`` took to train."""
    files.write_json(path(folder), {"seconds": round(seconds, 1)})
