"""What a figure's check says, in a few words."""

import json
from collections import Counter
from pathlib import Path

NOT_CHECKED = "not checked"


def verdict_words(check: Path) -> str:
    """`2 supported, 1 inconclusive`, from <figure>.check.json; `not checked` where it is not there yet."""
    try:
        claims = json.loads(check.read_text())["claims"]
    except (OSError, ValueError, KeyError):
        return NOT_CHECKED
    counted = Counter(claim["verdict"] for claim in claims)
    return ", ".join(f"{number} {verdict}" for verdict, number in sorted(counted.items())) or "no claims"
