"""Strict, typed access to ``params.yaml``, the one place that holds hyperparameters.

Each stage declares its own section as a subclass of `Section` in its own module, so that
a change of one stage's parameters is a change of that stage's code alone.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tasks.io.stage import StageError

FILE = Path("params.yaml")
SHARED = ("seed", "data", "monitor", "profiles")
"""What stands in the file beside one section for each stage."""


Item = TypeVar("Item")


def _without_doubles(values: list[Item]) -> list[Item]:
    doubles = sorted({str(value) for value in values if values.count(value) > 1})
    if doubles:
        raise ValueError(f"a list that names each once, but {', '.join(doubles)} stands twice")
    return values


Distinct = Annotated[list[Item], Field(min_length=1), AfterValidator(_without_doubles)]
"""A list of one or more, each once."""


class Section(BaseModel):
    """A part of ``params.yaml``: frozen, no unknown key, no missing key, no coercion, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    """The data set, as every stage sees it."""

    source: str | None = Field(
        min_length=1,
        description="path of a data set, sklearn:digits, openml:<name> or keras:<name>",
    )
    test_source: str | None = Field(
        min_length=1, description="the same for the test set; null: as the source has it"
    )
    test_share: float = Field(
        gt=0, le=0.5, description="of each class set apart where the source has no test set"
    )
    train_rows: int | None = Field(ge=100, description="first n training images; null: all")
    test_rows: int | None = Field(ge=100, description="first n test images; null: all")
    scaling: Literal["[0,1]", "[-1,1]"] = Field(description="pixel range inside the models")

    @model_validator(mode="after")
    def _sourced(self) -> "Data":
        if self.test_source is not None and self.source is None:
            raise ValueError("a source where there is a test_source")
        return self


class Seed(Section):
    """The number from which every random draw of a run is derived."""

    seed: int = Field(ge=0, lt=2**31)


S = TypeVar("S", bound=Section)


def load(file: Path = FILE) -> dict[str, Any]:
    """Return the whole parameter file as plain dictionaries.

    Raises
    ------
    StageError
        If the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = YAML(typ="safe").load(file)
    except FileNotFoundError:
        raise StageError(f"{file}: expected the parameter file here; found none") from None
    except YAMLError as error:
        raise StageError(f"{file}: expected YAML; {error}") from None
    if not isinstance(content, dict):
        raise StageError(f"{file}: expected sections; got {type(content).__name__}")
    return content


def section(model: type[S], name: str, file: Path = FILE) -> S:
    """Return section ``name`` (dots go deeper) of the parameter file as ``model``.

    Raises
    ------
    StageError
        Naming file, key, what was expected and what was received, one line a fault.
    """
    content: Any = load(file)
    check_keys(content, (path.stem for path in Path(__file__).parents[1].glob("[!_]*.py")), file)
    for part in name.split("."):
        if not isinstance(content, dict) or part not in content:
            raise StageError(f"{file}: {name} is missing; expected a section of that name")
        content = content[part]
    return parse(model, name, content, file)


def check_keys(content: dict[str, Any], stages: Iterable[str], file: Path = FILE) -> None:
    """Refuse a key of the parameter file that is neither shared nor named like a stage.

    Raises
    ------
    StageError
        One line a key.
    """
    unknown = sorted(map(str, set(content) - {*SHARED, *stages}))
    if unknown:
        raise StageError("\n".join(_unknown(file, key) for key in unknown))


def parse(model: type[S], name: str, content: Any, file: Path = FILE) -> S:
    """Check ``content``, found at key ``name``, against ``model``."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise StageError("\n".join(_line(file, name, fault) for fault in error.errors())) from None


def seed(file: Path = FILE) -> int:
    """Return the run's seed."""
    content = load(file)
    return parse(Seed, "", {key: content[key] for key in ("seed",) if key in content}, file).seed


def data(file: Path = FILE) -> Data:
    """Return the section that all stages share."""
    return section(Data, "data", file)


def _line(file: Path, name: str, fault: Any) -> str:
    key = ".".join(part for part in (name, *map(str, fault["loc"])) if part)
    if fault["type"] == "extra_forbidden":
        return _unknown(file, key)
    if fault["type"] == "missing":
        return f"{file}: {key} is missing; every key has to be given"
    expected = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if fault["type"] == "too_short":
        expected = f"a list of {fault['ctx']['min_length']} or more"
    elif fault["type"] == "string_pattern_mismatch":
        expected = f"text like {fault['ctx']['pattern']}"
    return f"{file}: {key} must be {expected}; got {fault['input']!r}"


def _unknown(file: Path, key: str) -> str:
    return f"{file}: {key} is not a known key; remove it or correct its name"
