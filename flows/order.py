"""Which stage comes next: pure, knows neither DVC nor Prefect."""

from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter

UNKNOWN = 1.0
"""Seconds assumed for a stage that was never timed."""


class Schedule:
    """Hands out stages whose upstreams are done, the longest remaining path first.

    A long chain that starts late ends late, whatever the other cores do meanwhile. Equals
    come in the order in which ``upstream`` lists them.
    """

    def __init__(
        self, upstream: Mapping[str, Collection[str]], seconds: Mapping[str, float] | None = None
    ) -> None:
        self._path = remaining_paths(upstream, seconds or {})
        self._place = {name: number for number, name in enumerate(upstream)}
        self._sorter = TopologicalSorter(upstream)
        self._sorter.prepare()
        self._ready: list[str] = []

    def next(self) -> str | None:
        """Return the name to start now, or None where none is ready."""
        self._ready = sorted([*self._ready, *self._sorter.get_ready()], key=self._place.__getitem__)
        if not self._ready:
            return None
        chosen = max(self._ready, key=self._path.__getitem__)
        self._ready.remove(chosen)
        return chosen

    def done(self, name: str) -> None:
        """Take note that ``name`` ended well, so that what waits for it may start."""
        self._sorter.done(name)


def remaining_paths(
    upstream: Mapping[str, Collection[str]], seconds: Mapping[str, float]
) -> dict[str, float]:
    """Return for each stage the seconds of the longest chain from its start to the end."""
    downstream: dict[str, list[str]] = {name: [] for name in upstream}
    for name, sources in upstream.items():
        for source in sources:
            downstream[source].append(name)
    paths: dict[str, float] = {}
    for name in TopologicalSorter(downstream).static_order():
        after = max((paths[other] for other in downstream[name]), default=0.0)
        paths[name] = seconds.get(name, UNKNOWN) + after
    return paths
