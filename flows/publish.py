"""The verdict as artifacts of a flow run, for Prefect's pages."""

from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.tables import Table
from flows.verdict import Verdict, decision_lines, score_table, stage_table


def artifacts(verdict: Verdict, reason: str | None = None) -> None:
    """Publish reason and stage table and, as far as the run came, scores, decision and report."""
    if reason:
        create_markdown_artifact(reason, key="reason", description="Why it ran")
    create_table_artifact(_rows(stage_table(verdict)), key="stages", description="Stages")
    if verdict.scores:
        create_table_artifact(_rows(score_table(verdict)), key="scores", description="Scores")
    if lines := decision_lines(verdict):
        create_markdown_artifact("\n\n".join(lines), key="decision", description="Decision")
    if verdict.report:
        # Prefect does not show HTML: it opens the file where the browser may.
        create_link_artifact(verdict.report.as_uri(), link_text="reports/index.html", key="report")


def scores(lines: list[str], file: Path) -> None:
    """Publish what a scoring run came to, and where its table is."""
    text = "\n".join(["```", *lines, "```"])
    create_markdown_artifact(text, key="scored", description="What was scored")
    link(file, str(file), "score-table")


def link(page: Path, name: str, key: str) -> None:
    """Publish a link to a file."""
    create_link_artifact(page.resolve().as_uri(), link_text=name, key=key)


def _rows(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]
