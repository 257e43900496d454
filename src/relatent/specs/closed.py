"""What every model of a configuration file shares."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from relatent.specs.errors import unknown


class Closed(BaseModel):
    """A mapping whose keys are all known. Strict: text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        names = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data if isinstance(data, dict) else ():
            if key not in names:
                message = unknown("key", key, names).replace("{", "(").replace("}", ")")
                raise PydanticCustomError("unknown_key", message, {"key": key})
        return data


def _unique(items: tuple[Any, ...]) -> tuple[Any, ...]:
    for number, item in enumerate(items):
        if item in items[:number]:
            raise ValueError(f"{item!r} is given twice")
    return items


UNIQUE: dict[str, Any] = {"uniqueItems": True}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
TaskName = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
_several = Field(strict=False, min_length=1, json_schema_extra=UNIQUE)
Names = Annotated[tuple[Name, ...], _several, AfterValidator(_unique)]
TaskNames = Annotated[tuple[TaskName, ...], _several, AfterValidator(_unique)]
Seeds = Annotated[tuple[NonNegative, ...], _several, AfterValidator(_unique)]
