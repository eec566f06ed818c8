"""The events by which a Prefect server starts a training; the one place that emits them."""

import time
from datetime import UTC, datetime
from typing import Any

from flows.retraining import CORRECTION, DRIFT, Cause
from tasks.io.stage import StageError

EVENTS = {DRIFT: "digitline.drift", CORRECTION: "digitline.feedback"}
"""The event of each kind of cause: `triggers` in prefect.yaml expect them."""

FLOW = "train"
PATIENCE = 60.0
"""Seconds until the run that an event is to start has to be known to the server; 2 are usual."""


def start(cause: Cause) -> str:
    """Emit the event of ``cause``; return a sentence about the run that the server started.

    Raises
    ------
    StageError
        If the server does not answer or starts no run, and what to do.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    since = datetime.now(UTC)
    try:
        with get_client(sync_client=True) as client:
            _emit(client, cause)
            run = _run(client, cause, since)
    except (HTTPError, RuntimeError) as error:  # RuntimeError: Prefect's own, for no connection
        raise StageError(
            f"no answer from the Prefect server at {PREFECT_API_URL.value()} ({error}); start it "
            "(make serve), or unset PREFECT_API_URL"
        ) from None
    return f"training {run.name!r} ({_address(run)}), by event {EVENTS[cause.kind]}"


def _emit(client: Any, cause: Cause) -> None:
    from prefect.events import Event, Resource

    labels = {"id": f"digitline.{cause.kind}.{cause.about}", "name": cause.about}
    event = Event(
        event=EVENTS[cause.kind],
        resource=Resource({f"prefect.resource.{key}": value for key, value in labels.items()}),
        payload={"reason": cause.reason, "cause": cause.text, "about": cause.about},
    )
    # Over HTTP and not by `emit_event`, whose thread says nothing of an event that got lost.
    response = client.request("POST", "/events", json=[event.model_dump(mode="json")])
    response.raise_for_status()


def _run(client: Any, cause: Cause, since: datetime) -> Any:
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    # Pydantic makes filters of both mappings.
    flow = FlowFilter(name={"any_": [FLOW]})  # type: ignore[arg-type]  # see above
    newer = FlowRunFilter(expected_start_time={"after_": since})  # type: ignore[arg-type]  # too
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        runs = client.read_flow_runs(
            flow_filter=flow, flow_run_filter=newer, sort=FlowRunSort.EXPECTED_START_TIME_DESC
        )
        if found := [run for run in runs if run.parameters.get("reason") == cause.reason]:
            return found[0]
        time.sleep(0.5)
    raise StageError(
        f"event {EVENTS[cause.kind]} was emitted, and no run of {FLOW} followed within "
        f"{PATIENCE:.0f} s: is prefect.yaml deployed there, and its automation not switched off?"
    )


def _address(run: Any) -> str:
    from prefect.utilities.urls import url_for

    return url_for("flow-run", run.id) or str(run.id)
