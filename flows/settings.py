"""What Prefect must be told before it is imported, beside ``[tool.prefect]`` in pyproject.toml."""

import logging
import os
import tomllib
from pathlib import Path

_LINE = "%(asctime)s "

ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    # One clean line a message: time, stage, text.
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT": _LINE + "%(message)s",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": _LINE + "%(message)s",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": _LINE + "%(task_run_name)s: %(message)s",
}


def apply() -> None:
    """Set what is not set; to be called before the first import of Prefect."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def filter_logs() -> None:
    """Drop what Prefect's task engine says of every state: the flow says it, shorter."""
    logger = logging.getLogger("prefect.task_runs")
    logger.removeFilter(_is_wanted)  # once, however often this is called
    logger.addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    is_defect = bool(record.exc_info and record.exc_info[0])
    return is_defect or record.module != "task_engine"


def has_server() -> bool:
    """Tell, without importing Prefect (2 s), whether it would use a server of the user's."""
    if "PREFECT_API_URL" in os.environ:
        return bool(os.environ["PREFECT_API_URL"])
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    path = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    if not path.exists():
        return False
    content = tomllib.loads(path.read_text())
    profile = content.get("profiles", {}).get(
        os.environ.get("PREFECT_PROFILE", content.get("active"))
    )
    return bool((profile or {}).get("PREFECT_API_URL"))
