"""The Prefect flow ``monitor``: batches judged in order, alarms answered."""

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import alarms, monitoring, publish
from flows.monitoring import Judged
from tasks.io.stage import StageError

HISTORY = Path("reports/monitoring/index.html")


@flow(name="monitor")
def monitor(since: str | None = None, names: list[str] | None = None) -> State:
    """Judge the batches of ``data/incoming`` that are new; an alarm starts a training.

    ``since``: a time in ISO 8601 or the name of a batch: also those that were judged already,
    if they arrived from then on. ``names``: only these batches. A run that dies is caught up
    by the next: a batch is done when its report is there, and its alarm when that tells what
    was started.
    """
    say, root, done = get_run_logger().info, Path(), list[Judged]()
    state: State | None = None
    try:
        with alarms.alone(root):
            new = monitoring.watch(root, since=since, names=names or (), say=say)
            for judged in alarms.follow(new, alarms.answer(), say, root):
                done.append(judged)
                if judged.alarm:
                    _publish_alert(judged)
    except StageError as error:
        state = Failed(message=str(error))
    _publish(done, root)
    return state or Completed(message=summary(done))


def summary(done: list[Judged]) -> str:
    """Return one line: ``3 batches, 1 alarm: b2 (input)``."""
    alarmed = [f"{each.name} ({', '.join(each.kinds)})" for each in done if each.alarm]
    batches = f"{len(done)} batch{'' if len(done) == 1 else 'es'}"
    told = f"{len(alarmed)} alarm{'' if len(alarmed) == 1 else 's'}" if alarmed else "no alarm"
    return f"{batches}, {told}" + (f": {'; '.join(alarmed)}" if alarmed else "")


def _publish_alert(judged: Judged) -> None:
    parts = [f"**{label}**: {judged.alert[key]}" for key, label in alarms.ALERT.items()]
    text = "\n\n".join([f"## {judged.name}: {', '.join(judged.kinds)}", *parts])
    create_markdown_artifact(text, key="alert", description=f"Alarm of batch {judged.name}")
    publish.link(judged.report, judged.name, "alert-page")


def _publish(done: list[Judged], root: Path) -> None:
    if done:
        rows = [
            {"batch": each.name, "alarm": ", ".join(each.kinds) or "no", **each.alert}
            for each in done
        ]
        create_table_artifact(rows, key="batches", description="Batches")
    if (page := root / HISTORY).exists():
        publish.link(page, str(HISTORY), "monitoring")
