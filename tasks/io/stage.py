"""How a stage starts and ends, whoever runs it: a person, ``dvc repro`` or the flow."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MPLBACKEND": "agg",
    # One core a stage: results do not depend on the machine, and the flow runs stages side by
    # side, which gives more work per minute than threads within one.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class StageError(Exception):
    """A fault that a person can mend: the message says what, where and what to do next."""


def run(main: Callable[[], None]) -> NoReturn:
    """Run a stage's ``main`` on one core and end the process.

    A `StageError` ends it with status 1 and its message alone; any other exception is a
    defect of this program and keeps its traceback.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ[name] = value
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text file here
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(1):  # NumPy is loaded already and looks at no variable now
            main()
    except StageError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
