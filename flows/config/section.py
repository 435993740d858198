"""What the sections of a configuration are made of: the base class and the types of values."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from operators.predicate import FEWEST_CORNERS
from records import RecordError
from records.checks import LONGEST_NAME, check_name

MOST_CORNERS = 256
"""The most corners of a zone or mask."""


def _name(value: str) -> str:
    try:
        check_name("name", value)
    except RecordError:
        raise PydanticCustomError(
            "bad_name",
            "not a usable name",
            {"remedy": f"Use 1 to {LONGEST_NAME} printable characters without ':'."},
        ) from None
    return value


def _no_number(value: object) -> object:
    if isinstance(value, int | float):
        raise PydanticCustomError(
            "bad_time",
            "must be a time",
            {"remedy": "Write it with its zone: 2026-05-01T08:00:00Z."},
        )
    return value


Name = Annotated[str, AfterValidator(_name)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
StartTime = Annotated[AwareDatetime, BeforeValidator(_no_number), Field(strict=False)]
Text = Annotated[str, StringConstraints(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Pixels = Annotated[list[Finite], Field(min_length=2, max_length=2)]
Zone = Annotated[list[Pixels], Field(min_length=FEWEST_CORNERS, max_length=MOST_CORNERS)]
Point = Annotated[list[Share], Field(min_length=2, max_length=2)]
Mask = Annotated[list[Point], Field(min_length=FEWEST_CORNERS, max_length=MOST_CORNERS)]


class Section(BaseModel):
    """A part of a configuration: no unknown key, no silent conversion, no change afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=False)
