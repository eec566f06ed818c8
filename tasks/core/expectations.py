"""Great Expectations, the one place that knows its API: tables in, plain results out."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class Rule(NamedTuple):
    """An expectation on a column of a table, or on the whole table (``column`` None).

    ``expectation`` is the name of its class in `great_expectations.expectations`.
    """

    table: str
    expectation: str
    column: str | None
    kwargs: dict[str, Any]


def check(
    tables: Mapping[str, "pd.DataFrame"], rules: Sequence[Rule], examples: int
) -> list[dict[str, Any]]:
    """Return one result for each rule, in their order, made of what JSON can hold.

    Its keys: ``table``, ``expectation``, ``column``, ``kwargs``; ``success``; ``observed``
    (the value, {min, max} of a column, {missing: values}, or words where there is no value);
    ``unexpected_count`` (rows); ``examples``, at most that many values, each with its row
    where the table's index is named "row".
    """
    results: dict[int, dict[str, Any]] = {}
    context = _context()
    for name, table in tables.items():
        numbered = [(i, rule) for i, rule in enumerate(rules) if rule.table == name]
        for validated in _validate(context, name, table, numbered, examples):
            order = validated.expectation_config.meta["order"]
            results[order] = _result(rules[order], validated, table)
    return [results[order] for order in range(len(rules))]


def _context() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _validate(
    context: Any, name: str, table: Any, rules: list[tuple[int, Rule]], examples: int
) -> Any:
    import great_expectations as gx

    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": table})
    suite = gx.ExpectationSuite(name, expectations=[_build(order, rule) for order, rule in rules])
    shown = {"result_format": "SUMMARY", "partial_unexpected_count": examples}
    return batch.validate(suite, result_format=shown).results


def _build(order: int, rule: Rule) -> Any:
    from great_expectations import expectations

    column = {} if rule.column is None else {"column": rule.column}
    # The results come back in another order: this number finds their rules again.
    return getattr(expectations, rule.expectation)(**column, **rule.kwargs, meta={"order": order})


def _result(rule: Rule, validated: Any, table: Any) -> dict[str, Any]:
    found = validated.result
    content = rule._asdict() | {
        "success": bool(validated.success),
        "observed": _observed(rule, validated, table),
        "unexpected_count": found.get("unexpected_count", 0),
        "examples": _examples(rule, found),
    }
    plain: dict[str, Any] = _plain(content)
    return plain


def _observed(rule: Rule, validated: Any, table: Any) -> Any:
    found = validated.result
    if not found:
        return f"not checked: {_exception(validated.exception_info)}"
    if found.get("observed_value") is not None:
        return found["observed_value"]
    if "details" in found:
        return "an infinite divergence: a value that the partition lacks"
    if "partial_missing_list" in found:
        return {"missing": found["partial_missing_list"]}
    if rule.column is not None and table[rule.column].dtype.kind in "if":
        return {"min": table[rule.column].min(), "max": table[rule.column].max()}
    return None


def _exception(info: dict[str, Any]) -> str:
    """Return the first message; Great Expectations files them under the metric that failed."""
    entries = [info, *(value for value in info.values() if isinstance(value, dict))]
    messages = [entry["exception_message"] for entry in entries if entry.get("exception_message")]
    return " ".join(messages[0].split()) if messages else "no reason given"


def _examples(rule: Rule, found: dict[str, Any]) -> list[dict[str, Any]]:
    rows = found.get("partial_unexpected_index_list", [])
    if rows and isinstance(rows[0], dict):
        return [{"row": row["row"], "value": row[rule.column]} for row in rows]
    return [{"value": value} for value in found.get("partial_unexpected_list", [])]


def _plain(value: Any) -> Any:
    """Return ``value`` without numpy's types; a number that JSON lacks becomes None."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
