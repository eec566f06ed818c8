"""The command ``python -m flows train``: the flow, and around it what a terminal wants."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from flows import execute, graph, occasions, profiles, server, settings, verdict
from flows.execute import CACHED, Outcome
from tasks.io import params
from tasks.io.stage import StageError


def train(profile_name: str | None = None, reason: str | None = None) -> int:
    """Run the pipeline and print the verdict; return the exit status."""
    start = time.monotonic()
    for name in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP: the terminal was closed
        signal.signal(name, _interrupt)
    settings.apply()
    for line in profiles.use(profile_name) if profile_name else []:
        print(line, flush=True)
    with graph.open_repo() as repo:
        root, stages = Path(repo.root_dir), graph.read(repo)
        params.check_keys(params.load(), (stage.group for stage in stages.values()))
        outcomes = _all_cached(repo, stages, root)
    if outcomes:
        occasions.note(verdict.collect(outcomes, root), reason, root)
    outcomes = outcomes or _flow(root, reason)
    verdict.show(verdict.collect(outcomes, root, time.monotonic() - start))
    return 0 if verdict.is_well(outcomes) else 1


def _all_cached(repo: object, stages: graph.Graph, root: Path) -> list[Outcome]:
    """Return the outcomes if there is nothing to do and no server to tell so; else nothing.

    Prefect's own server takes 5 to 20 s to start, only to hear that nothing happened.
    """
    if settings.has_server() or any(graph.stale(stages, root)) or not graph.is_unchanged(repo):
        return []
    return [Outcome(name, CACHED) for name in stages]


def _flow(root: Path, reason: str | None) -> list[Outcome]:
    if settings.has_server():
        return _reach(lambda: _run_flow(reason))
    print("starting Prefect's own server for this run, as PREFECT_API_URL is not set", flush=True)
    return _run_flow(reason, server.start(execute.folder(root) / "server.log"))


def _reach(run: Callable[[], list[Outcome]]) -> list[Outcome]:
    try:
        return run()
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        raise StageError(
            f"{error}: expected the Prefect server that PREFECT_API_URL or the profile names; "
            "start it, or unset that for a server of the run's own"
        ) from None


def _run_flow(reason: str | None, wait: Callable[[], None] = lambda: None) -> list[Outcome]:
    # Importing Prefect takes 2 s: beside the start of the server, where there is one.
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.train import train as flow

    wait()
    # A heartbeat is for a run that nobody watches; joining its thread costs 1 s at the end.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state = flow(reason=reason, return_state=True)
    outcomes: Any = state.result(raise_on_failure=False)
    if isinstance(outcomes, Exception):  # a defect: the flow did not even come to its stages
        raise outcomes
    return list(outcomes)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
