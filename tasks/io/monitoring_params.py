"""Section ``monitor`` of ``params.yaml``: which batches alarm, and what becomes of an alarm."""

from pydantic import Field, model_validator

from tasks.core.shift_judgement import TESTS, Limits
from tasks.io.params import Section


class Monitor(Section):
    """How batches of new images are judged."""

    false_alarms: float = Field(
        gt=0, lt=0.5, description="share of batches without any change that alarm"
    )
    resamples: int = Field(ge=100, le=100_000, description="draws of a batch a test")
    sample: int = Field(ge=20, le=100_000, description="images of a batch that are tested at most")
    tolerance: float = Field(
        ge=0, lt=0.5, description="difference in a share of images that is none"
    )
    labelled: float = Field(
        gt=0, le=1, description="share of images with labels from which on these judge accuracy"
    )
    level: float = Field(gt=0.5, lt=1, description="of the intervals")
    settle: float = Field(ge=0, description="seconds without a change until a batch is complete")
    keep: int = Field(ge=1, description="batches whose pages are kept")
    examples: int = Field(ge=1, le=500, description="images shown, and listed for review")
    cooldown: float = Field(ge=0, description="hours between two trainings that drift starts")
    notify: str | None = Field(min_length=1, description="whom an alarm is told")

    @model_validator(mode="after")
    def _decides(self) -> "Monitor":
        needed = TESTS / self.false_alarms
        if self.resamples + 1 < needed:
            raise ValueError(
                f"at least {needed:.0f} resamples to know one of {needed:.0f} cases "
                f"({TESTS} tests share false_alarms)"
            )
        return self

    def limits(self) -> Limits:
        """Return when to alarm, as the tests take it."""
        return Limits(self.false_alarms, self.resamples, self.tolerance, self.labelled, self.level)
