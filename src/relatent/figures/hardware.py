"""The machines that runs were trained on, for figures that show how long things take."""

from collections import Counter

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered


def hardware(gathered: Gathered, drawing: Drawing) -> str:
    """Which machines the runs were trained on, and in what way."""
    used: dict[str, Counter[str]] = {}
    for run in gathered.runs:
        of = run["manifest"].get("hardware", {})
        where = " and ".join([of.get("cpu") or "unknown processor", *(of.get("gpus") or [])])
        together = len(run["manifest"].get("batched_with", ())) + 1
        ways = [way for way in ("compiled", "graph") if run["manifest"].get("acceleration", {}).get(way)]
        where += "".join(f", {way}" for way in ways) + (f", {together} runs in one process" if together > 1 else "")
        used.setdefault(where, Counter())[run["algorithm"]] += 1
    if not used:
        return "no run yet."
    if len(used) == 1:
        return f"all runs on {next(iter(used))}."
    of_each = [
        f"{where}: {', '.join(f'{drawing.label(name)} {count}' for name, count in runs.items())}"
        for where, runs in used.items()
    ]
    return f"not the same for all runs, so their times do not compare. {'; '.join(of_each)}."
