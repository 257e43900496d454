"""Between numbers and JSON, which has no NaN and no infinity: they are null there."""

from math import isfinite, nan
from typing import Any


def to_json(value: Any) -> Any:
    """The same nesting with null for every number that is not finite."""
    if isinstance(value, dict):
        return {key: to_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def number(value: float | None) -> float:
    """Back again: null is NaN."""
    return nan if value is None else float(value)
