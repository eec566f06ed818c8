"""How a stage starts and ends, whoever runs it: a person, ``dvc repro`` or the flow."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

LOG = "DIGITLINE_LOG"
"""Environment variable: the file that takes a stage's output instead of the console."""

_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MPLBACKEND": "agg",
}


class StageError(Exception):
    """A fault that a person can mend: the message says what, where and what to do next."""


def run(main: Callable[[], None]) -> NoReturn:
    """Run a stage's ``main`` on one core and end the process.

    A `StageError` ends it with status 1 and its message alone; any other exception is a
    defect of this program and keeps its traceback.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _redirect_output()
    from threadpoolctl import threadpool_limits

    try:
        # One core a stage: results do not depend on the machine, and the flow runs stages
        # side by side, which gives more work per minute than threads within one.
        with threadpool_limits(1):
            main()
    except StageError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _redirect_output() -> None:
    log = os.environ.get(LOG)
    if log:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # always a text file here
