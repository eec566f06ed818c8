"""Which models a run has, and where each one's folder is."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from tasks.io import params
from tasks.io.params import Distinct, Section

TRAIN = Path("models/train")
BASELINE = Path("models/baseline")
ENSEMBLE = Path("models/ensemble")

Kind = Literal["ensemble", "member", "baseline"]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Number = Annotated[int, Field(ge=0)]


class Model(NamedTuple):
    """One model of the run."""

    name: str
    kind: Kind
    folder: Path


class Matrix(Section):
    """The members of the ensemble: every architecture, with every fold held out, and seed."""

    architectures: Distinct[Name]
    folds: Distinct[Number]
    seeds: Distinct[Number]


class Algorithms(Section):
    """The baselines."""

    algorithms: Distinct[Name]


def member_name(architecture: str, fold: int, seed: int) -> str:
    """Return the member's name, which is also what DVC's matrix calls its stage."""
    return f"{architecture}-{fold}-{seed}"


def members() -> list[Model]:
    """Return the CNN members that ``params.yaml`` asks for, in its order."""
    return [Model(name, "member", TRAIN / name) for name, _ in _matrix()]


def member_folds() -> list[int]:
    """Return the fold that each of `members` has not seen, in their order."""
    return [fold for _, fold in _matrix()]


def _matrix() -> list[tuple[str, int]]:
    """Return each member's name and the fold that is held out from it."""
    section = params.load().get("train")
    if isinstance(section, dict):
        others = ("networks", "recipe")
        section = {key: value for key, value in section.items() if key not in others}
    matrix = params.parse(Matrix, "train", section)
    return [
        (member_name(architecture, fold, seed), fold)
        for architecture in matrix.architectures
        for fold in matrix.folds
        for seed in matrix.seeds
    ]


def baselines() -> list[Model]:
    """Return the baselines that ``params.yaml`` asks for, in its order."""
    section = params.load().get("baseline")
    if isinstance(section, dict):
        section = {key: value for key, value in section.items() if key == "algorithms"}
    names = params.parse(Algorithms, "baseline", section).algorithms
    return [Model(name, "baseline", BASELINE / name) for name in names]


def every() -> list[Model]:
    """Return the ensemble, its members and the baselines."""
    return [Model("ensemble", "ensemble", ENSEMBLE), *members(), *baselines()]
