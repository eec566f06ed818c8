"""``prefect.yaml`` on a server: what is deployed, what is left of old, what is due."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tasks.io.stage import StageError

FILE = Path("prefect.yaml")

ENDED = "CRASHED"
_ON_THE_WAY = ["PENDING", "RUNNING", "CANCELLING"]


class Api:
    """The few calls of a Prefect server's REST interface that ``serve`` needs.

    Prefect's own client takes 2 s to import and 150 MB to keep, beside which this process
    would be small. A server that is busy, as SQLite lets one write at a time, is asked again
    for ``patience`` seconds.
    """

    def __init__(self, url: str, patience: float = 60.0) -> None:
        import httpx

        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._patience = patience

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def find(self, what: str, **query: Any) -> list[dict[str, Any]]:
        """Return at most 200 of ``what``, such as ``flow_runs``, by the query of its filter."""
        found: list[dict[str, Any]] = self.call("POST", f"/{what}/filter", query)
        return found

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """Send one request; return what came back, None where nothing did.

        Raises
        ------
        StageError
            If the server does not answer or refuses it, with its words.
        """
        end = time.monotonic() + self._patience
        while fault := self._send(method, path, content):
            if time.monotonic() > end or not fault.passes:
                raise StageError(f"Prefect's server: {method} {path}: {fault.words}")
            time.sleep(0.5)
        return self._answer

    def _send(self, method: str, path: str, content: Any) -> "_Fault | None":
        import httpx

        try:
            response = self._client.request(method, path, json=content)
        except httpx.TransportError as error:
            return _Fault(str(error) or type(error).__name__, passes=True)
        # A request that is sent again may find its work done.
        is_done = (method, response.status_code) in (("DELETE", 404), ("POST", 409))
        if response.is_success or is_done:
            self._answer = response.json() if response.content else None
            return None
        words = f"{response.status_code} {response.text[:200]}"
        return _Fault(words, passes=response.status_code >= 500)


class _Fault(NamedTuple):
    """Why a request failed, and whether the same may succeed later."""

    words: str
    passes: bool


def read(file: Path = FILE) -> list[dict[str, Any]]:
    """Return the deployments of ``file``.

    Raises
    ------
    StageError
        If the file is not here or has none.
    """
    from ruamel.yaml import YAML

    if not file.exists():
        raise StageError(
            f"{file}: expected the deployments in {file.resolve().parent}; there is no such file. "
            "Go to the root of the clone"
        )
    content = YAML(typ="safe").load(file)
    found: list[dict[str, Any]] = (content or {}).get("deployments") or []
    if not found:
        raise StageError(f"{file}: expected a list of deployments; it has none")
    return found


def work_pool(wanted: list[dict[str, Any]]) -> str:
    """Return the name of the work pool of all deployments.

    Raises
    ------
    StageError
        If they name several: one worker takes runs from one.
    """
    names = {str(deployment.get("work_pool", {}).get("name")) for deployment in wanted}
    if len(names) != 1:
        raise StageError(f"{FILE}: expected one work pool for all; got {', '.join(sorted(names))}")
    return names.pop()


def make_work_pool(api: Api, name: str) -> None:
    """Make the work pool if the server has none of that name, for processes on this machine."""
    if name not in {pool["name"] for pool in api.find("work_pools")}:
        api.call("POST", "/work_pools/", {"name": name, "type": "process"})


def release(api: Api) -> int:
    """Give back what runs hold that ended without telling the server; return their number.

    To be called while nothing runs: a run that was killed, or outlived its server, would keep
    its deployment's only place for ever.
    """
    runs = api.find("flow_runs", flow_runs={"state": {"type": {"any_": _ON_THE_WAY}}})
    lost = [run for run in runs if run["deployment_id"]]
    state = {"type": ENDED, "name": "Crashed", "message": "it was killed, or its server was"}
    for run in lost:
        path = f"/flow_runs/{run['id']}/set_state"
        api.call("POST", path, {"state": state, "force": True})
    for limit in api.find("v2/concurrency_limits"):
        if limit["active_slots"] and limit["name"].startswith("deployment:"):
            api.call("PATCH", f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 0})
    return len(lost)


def tidy(api: Api, wanted: list[dict[str, Any]]) -> Iterator[str]:
    """Remove what ``prefect.yaml`` no longer has, and all but one overdue run each; say it.

    Prefect keeps a schedule that was taken out of the file, and a deployment as well.
    """
    by_name = {(each["entrypoint"], each["name"]): each for each in wanted}
    pool = work_pool(wanted)
    for found in api.find("deployments"):
        entry = by_name.get((found["entrypoint"], found["name"]))
        if entry is None and found["work_pool_name"] == pool:
            yield from _remove(api, found)
        elif entry is not None:
            yield from _clear(api, found, entry)
            yield from _keep_newest_overdue(api, found)


def _remove(api: Api, found: dict[str, Any]) -> Iterator[str]:
    api.call("DELETE", f"/automations/owned-by/prefect.deployment.{found['id']}")
    api.call("DELETE", f"/deployments/{found['id']}")
    yield f"{found['name']}: removed, as {FILE} no longer has it"


def _clear(api: Api, found: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("schedules") or not found["schedules"]:
        return
    for schedule in found["schedules"]:
        api.call("DELETE", f"/deployments/{found['id']}/schedules/{schedule['id']}")
    yield f"{found['name']}: its schedule is removed, as {FILE} no longer has one"


def _keep_newest_overdue(api: Api, found: dict[str, Any]) -> Iterator[str]:
    newest: dict[str, Any] | None = None
    while runs := _overdue(api, found, newest):
        newest = newest or runs.pop(0)
        for run in runs:
            api.call("DELETE", f"/flow_runs/{run['id']}")
    if newest:
        yield f"{found['name']}: was due at {shown(newest)} and starts now"


def _overdue(
    api: Api, found: dict[str, Any], newest: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return runs that a schedule planned for a time that has passed, but for the newest."""
    overdue: dict[str, Any] = {
        "deployment_id": {"any_": [found["id"]]},
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
    }
    if newest:
        overdue["id"] = {"not_any_": [newest["id"]]}
    runs = api.find("flow_runs", flow_runs=overdue, sort="EXPECTED_START_TIME_DESC")
    # What an event or a person started has a cause of its own and stays, as does another try.
    return [run for run in runs if run["auto_scheduled"] and not run["run_count"]]


def upcoming(api: Api, found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the next run by a deployment's schedule; None while the server has planned none."""
    due = {"deployment_id": {"any_": [found["id"]]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    runs = api.find("flow_runs", flow_runs=due, sort="EXPECTED_START_TIME_ASC")
    return next((run for run in runs if run["auto_scheduled"]), None)


def shown(run: dict[str, Any]) -> str:
    """Return the time at which a run is due, in UTC."""
    moment = datetime.fromisoformat(run["expected_start_time"]).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
