"""Shared by all tests: no telemetry, one backend."""

import os

os.environ.update({"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "MPLBACKEND": "agg"})
