"""Shared by all tests: no telemetry, one backend."""

import os

import pytest

os.environ.update({"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "MPLBACKEND": "agg"})


@pytest.fixture(scope="session")
def one_core() -> None:
    """Bind TensorFlow to one core, which it allows once a process and before its first use."""
    from tasks.core import training

    training.prepare()
