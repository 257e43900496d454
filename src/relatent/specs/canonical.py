"""The one text of a value, and the short name made from it."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values have equal texts, whatever their key order or layout."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """The first 12 hexadecimal digits of the text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
