"""The Prefect flow: one task for each stage of DVC's graph, and no edge of its own."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from textwrap import shorten
from threading import Event
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import execute, graph, occasions, profiles, publish, settings, verdict
from flows.execute import Outcome
from flows.order import Schedule
from flows.slots import slots

NAME = 80
"""Characters of a run's name at most."""

LOCK_RETRIES = 5
RETRY_SECONDS = 5

RUNNER: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=os.cpu_count())


def _run_name() -> str:
    """Return the reason in short, where there is one: Prefect lists runs by name."""
    reason = flow_run.parameters.get("reason")
    return (
        shorten(f"{flow_run.name}: {reason}", NAME, placeholder=" …") if reason else flow_run.name
    )


@flow(name="train", task_runner=RUNNER, flow_run_name=_run_name)  # type: ignore[arg-type]  # TaskRunner is invariant
def train(profile_name: str | None = None, reason: str | None = None) -> State:
    """Bring every stage of ``dvc.yaml`` up to date, side by side where its graph allows.

    ``profile_name``: first write that profile's values into ``params.yaml``.
    ``reason``: why it runs, for those who ask later.
    The state's data: one `Outcome` a stage, in the order of the graph.
    """
    say = get_run_logger().info
    if reason:
        say(f"reason: {reason}")
    for line in profiles.use(profile_name) if profile_name else []:
        say(line)
    with graph.open_repo() as repo:
        root, stages = Path(repo.root_dir), graph.read(repo)
        taken = graph.take_changes(repo)
    for line in [*taken, *graph.prune(stages, root)]:
        say(line)
    settings.filter_logs()
    with execute.caught_output(root):
        outcomes = list(_Run(stages, root).all().values())
    execute.keep_durations(root, outcomes)
    said = verdict.collect(outcomes, root)
    occasions.note(said, reason, root)
    publish.artifacts(said, reason)
    return _state(outcomes)


def _state(outcomes: list[Outcome]) -> State:
    text = verdict.summary(outcomes)
    kind = Completed if verdict.is_well(outcomes) else Failed
    return kind(message=text, data=outcomes)


class _Run:
    """One run of all stages: starts each when its upstreams are done and a core is free."""

    def __init__(self, stages: graph.Graph, root: Path) -> None:
        upstream = {name: stage.upstream for name, stage in stages.items()}
        self._stages, self._root = stages, root
        self._schedule = Schedule(upstream, execute.durations(root))
        self._futures: dict[str, PrefectFuture[Any]] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._stop, self._interrupted = Event(), Event()
        self._running, self._slots = 0, slots()
        self._outcomes = {name: Outcome(name, execute.NOT_RUN) for name in stages}

    def all(self) -> dict[str, Outcome]:
        try:
            self._run_what_can_run()
        except BaseException:  # Ctrl-C, SIGTERM: no stage outlives the flow
            self._stop.set()
            self._interrupted.set()
            execute.stop(lambda: self._ended.qsize() == self._running)
            raise
        return self._outcomes

    def _run_what_can_run(self) -> None:
        while True:
            while self._running < self._slots and (name := self._next()):
                self._submit(name)
            if not self._running:
                break
            self._note_end(self._ended.get())
        self._show_what_did_not_run()

    def _next(self) -> str | None:
        return None if self._stop.is_set() else self._schedule.next()

    def _submit(self, name: str) -> None:
        stage = self._stages[name]
        upstream = [self._futures[source] for source in stage.upstream]
        future = _task(stage, self._attempt).submit(wait_for=upstream)
        self._futures[name] = future
        self._running += 1
        future.add_done_callback(lambda _: self._ended.put(name))

    def _note_end(self, name: str) -> None:
        self._running -= 1
        self._futures[name].wait()
        if self._futures[name].state.is_completed():
            self._schedule.done(name)
        else:
            self._stop.set()

    def _show_what_did_not_run(self) -> None:
        """Give the other stages a task run too: Prefect shows them as not ready or not run."""
        rest = [name for name in self._stages if name not in self._futures]
        for name in rest:
            self._submit(name)
        for _ in rest:
            self._ended.get()

    def _attempt(self, name: str) -> Outcome:
        """Run stage ``name`` unless the run is about to end; keep and return how it ended."""
        if self._stop.is_set():
            return Outcome(name, execute.NOT_RUN)
        say = self._unless_interrupted(get_run_logger().info)
        before = self._outcomes[name].seconds
        outcome = execute.run(self._stages[name], self._root, say)
        if self._interrupted.is_set():
            return Outcome(name, execute.NOT_RUN)  # it was ended: not to be tried again
        self._outcomes[name] = replace(outcome, seconds=before + outcome.seconds)
        done = sum(outcome.state != execute.NOT_RUN for outcome in self._outcomes.values())
        say(f"{outcome.state}, {outcome.seconds:.1f} s; {done} of {len(self._stages)} stages done")
        return self._outcomes[name]

    def _unless_interrupted(self, say: Callable[[str], None]) -> Callable[[str], None]:
        # The last words of a stage that was told to stop are of no use.
        return lambda line: None if self._interrupted.is_set() else say(line)


def _task(stage: graph.Stage, attempt: Callable[[str], Outcome]) -> Any:
    """Return the Prefect task of one stage."""

    def retry(_task: Any, run: Any, state: State) -> bool:
        # Another try helps against a lock that someone else holds, and for a stage whose
        # `meta` in dvc.yaml says so. Any other failure would only fail again.
        limit = LOCK_RETRIES if state.name == execute.BUSY else stage.retries
        again = bool(run.run_count <= limit)
        if again:
            text = "%s; try %d of %d follows in %d s"
            get_run_logger().warning(
                text, state.message, run.run_count + 1, limit + 1, RETRY_SECONDS
            )
        return again

    @task(
        name=stage.name,
        task_run_name=stage.name,
        retries=1 + max(LOCK_RETRIES, stage.retries),  # `retry` sets the real limit
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=retry,
        persist_result=False,
    )
    def run_stage() -> State:
        return _as_state(attempt(stage.name))

    return run_stage


def _as_state(outcome: Outcome) -> State:
    if outcome.state == execute.NOT_RUN:
        return Cancelled(name="NotRun", message="not run, as another stage failed")
    if outcome.state in (execute.FAILED, execute.BUSY):
        return Failed(name=outcome.state, message=outcome.error.rpartition("\n")[2])
    return Completed(name=outcome.state, message=f"{outcome.seconds:.1f} s")
