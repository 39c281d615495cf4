"""How far a trial goes and what it is compared by: the blocks ``budget`` and ``objective`` of sweep.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from kgen.spec import TO_TARGET, At, Goal
from kgen.sweep.fields import Closed, Number, Positive, PositiveWhole, Share, exactly_one, wrong


class Bound(Closed):
    """A target for a metric that is not a share between 0 and 1, or that should fall."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]})

    at_least: Number | None = Field(None, description="Reached when the metric is this large")
    at_most: Number | None = Field(None, description="Reached when the metric is this small")

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one(self, "at_least", "at_most")
        return self


def _target_form(value: Any) -> str:
    return "bound" if isinstance(value, dict) else "share"


TargetValue = Annotated[Annotated[Share, Tag("share")] | Annotated[Bound, Tag("bound")], Discriminator(_target_form)]


class BudgetModel(Closed):
    """How far each trial may go."""

    target: Annotated[dict[str, TargetValue], Field(min_length=1, max_length=1)] | None = Field(
        None, description="Metric and the value at which a trial stops early, such as {train_accuracy: 0.97}"
    )
    steps: PositiveWhole | None = Field(None, description="Training steps at the most")
    seconds: Positive | None = Field(None, description="Counted training seconds at the most")
    check_every_steps: PositiveWhole = Field(50, description="Steps between two looks at target and budget")
    evaluate_every_steps: PositiveWhole | None = Field(
        None, description="Steps between two evaluations on held-out data; without it only at the end"
    )


class ObjectiveModel(Closed):
    """What trials are compared by; changing it changes no trial."""

    metric: Annotated[str, Field(min_length=1)] = Field(
        description="steps_to_target, seconds_to_target, or any metric that the trainer reports"
    )
    goal: Annotated[Goal, Field(strict=False)] = Field(
        Goal.MINIMIZE, description="Whether a smaller or a larger value is better"
    )
    at: Annotated[At, Field(strict=False)] = Field(
        At.FINAL, description="For a reported metric: its last value or its best"
    )

    @model_validator(mode="after")
    def _times_are_minimized(self) -> Self:
        if self.metric in TO_TARGET and self.goal is not Goal.MINIMIZE:
            raise wrong(str(self.goal), "minimize, because the metric is a time", "goal")
        return self
