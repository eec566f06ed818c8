"""What the flow runs of a server do, a line for each start and each end."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flows.deployments import Api
from tasks.io.stage import StageError

_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class News:
    """The runs that started since this was made; each is told twice, at its start and end."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._since = datetime.now(UTC).isoformat()
        self._told: dict[str, str] = {}
        self._flows: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """Yield what is new since the last call; nothing while the server does not answer."""
        with suppress(StageError):
            for run in self._runs():
                yield from self._line(run)

    def _runs(self) -> list[dict[str, Any]]:
        # By this filter a run that is only planned starts when it is due.
        states = {"type": {"any_": ["RUNNING", *_ENDED]}}
        started = {"start_time": {"after_": self._since}, "state": states}
        return self._api.find("flow_runs", flow_runs=started, sort="START_TIME_DESC")[::-1]

    def _line(self, run: dict[str, Any]) -> Iterator[str]:
        kind, name = run["state"]["type"], f"{self._flow(run['flow_id'])} {run['name']}"
        if run["id"] not in self._told and run["run_count"]:
            yield f"{name} runs"
        if kind in _ENDED and self._told.get(run["id"]) != kind:
            message = run["state"]["message"]
            yield f"{name} ended: {run['state']['name']}" + (f", {message}" if message else "")
        self._told[run["id"]] = kind

    def _flow(self, key: str) -> str:
        if key not in self._flows:
            self._flows |= {each["id"]: each["name"] for each in self._api.find("flows")}
        return self._flows.get(key, "")
