"""How often the comparison is right: simulated challengers beside a champion.

By the rules in use on plain test images; the rule on corrupted images is left out.

``python -m tests.gate_simulation`` prints the table of docs/gate.md.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.core import decision
from tasks.core.comparison import Comparison, Interval, compare
from tasks.core.decision import Champion, Fitness, Scores
from tasks.gate import Gate
from tasks.io import params

ROOT = Path(__file__).parent.parent
TRIALS = 1000
IMAGES = 10_000


class World(NamedTuple):
    """The truth: how likely an image is answered right by one of the two models alone."""

    name: str
    only_challenger: float
    only_champion: float


WORLDS = [
    World("equal, alike (each alone right on 0.12 %)", 0.0012, 0.0012),
    World("equal, unlike (0.3 %)", 0.0030, 0.0030),
    World("equal, weak (1.5 %)", 0.0150, 0.0150),
    World("worse by 0.05 points", 0.0010, 0.0015),
    World("worse by 0.1 points", 0.0010, 0.0020),
    World("worse by 0.2 points", 0.0010, 0.0030),
    World("worse by 0.3 points, alike", 0.0008, 0.0038),
    World("worse by 0.3 points, unlike", 0.0050, 0.0080),
    World("worse by 0.3 points, weak", 0.0150, 0.0180),
    World("better by 0.1 points", 0.0020, 0.0010),
    World("better by 0.3 points", 0.0038, 0.0008),
]


def simulate(world: World, trials: int = TRIALS, seed: int = 0) -> Counter[str]:
    """Return how often the challenger is called superior, equal, worse, and is promoted."""
    gate, rng = params.section(Gate, "gate", ROOT / "params.yaml"), np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    for _ in range(trials):
        beside = _draw(world, gate, rng)
        counts[beside.word] += 1
        counts["promoted"] += _is_promoted(beside, gate)
    return counts


def _draw(world: World, gate: Gate, rng: np.random.Generator) -> Comparison:
    place = rng.random(IMAGES)
    ahead = place < world.only_challenger
    behind = place > 1 - world.only_champion
    return compare(~behind, ~ahead, level=gate.level, resamples=gate.resamples, rng=rng)


def _is_promoted(beside: Comparison, gate: Gate) -> bool:
    """Ask the gate's own rules; everything but the comparison is as good as can be."""
    champion = Champion("v0.0.1", beside, corrupted=Interval(0.0, 0.0, 0.0))
    perfect = Scores(1.0, 1.0, 0.0, 0.0)
    said = decision.decide(perfect, 1.0, Fitness(0.0, 0.0, 0.0, 0), champion, gate.thresholds())
    return said.decision == "promote"


def main() -> None:
    """Print a line a world, in percent of the trials."""
    print("| truth, on 10,000 images | superior | equal | worse | promoted |")
    print("| --- | --- | --- | --- | --- |")
    for world in WORLDS:
        found = simulate(world)
        columns = (found[key] for key in ("superior", "equal", "worse", "promoted"))
        print(f"| {world.name} | {' | '.join(f'{100 * n / TRIALS:.1f}' for n in columns)} |")


if __name__ == "__main__":
    main()
