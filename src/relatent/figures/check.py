"""What a gathered figure says: verdicts on the paper's sentences, agreement with its numbers, one sound aggregate."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from relatent.figures.claims import judge
from relatent.figures.derived import with_derived
from relatent.figures.drawing import Drawing, read_drawing
from relatent.figures.gather import read_gathered
from relatent.figures.plain import to_json
from relatent.figures.reference import agreement, digitised, printed, printed_sample, read_reference
from relatent.figures.series import seed_values, seeds_without
from relatent.figures.statistics import Sample, interquartile_mean, stratified_bootstrap, welch
from relatent.specs.figure import Reference


def check(parquet: Path, drawing: Drawing | dict[str, Any], root: Path = Path()) -> dict[str, Any]:
    """The content of <figure>.check.json. Paths in `drawing` start from `root`, the repository."""
    drawing = read_drawing(drawing)
    gathered = read_gathered(parquet)
    wanted, data = drawing.reference, drawing.data
    numbers, curves = (None, wanted) if wanted and wanted.curves else (wanted, None)
    comparable = wanted if wanted and (wanted.released or not wanted.curves) else None
    table = read_reference(root / comparable.file) if comparable else None
    frame = with_derived(gathered, drawing)
    content = {
        "figure": drawing.figure,
        "budget": drawing.budget.name,
        "runs": {"drawn": len(gathered.runs), "wanted": len(gathered.runs) + len(gathered.missing)},
        "claims": [asdict(judge(claim, drawing, frame, table)) for claim in drawing.claims],
        "reference": [] if numbers is None or table is None else against(numbers, table, drawing, gathered.frame),
        "digitised": digitised(curves, root, data.algorithms, data.tasks) if curves else [],
        "printed": printed(root / numbers.file) if numbers and drawing.kind == "provenance_table" else [],
        "aggregate": aggregate(drawing, gathered.frame),
    }
    plain: dict[str, Any] = to_json(content)
    return plain


def against(wanted: Reference, table: pd.DataFrame, drawing: Drawing, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Every reference number of this figure's algorithms and tasks beside ours, None where nothing was trained. Numbers
    without a count of seeds are shown only: what they are a mean of is not known."""
    data = drawing.data
    rows = table[table["algorithm"].isin(data.algorithms) & table["task"].isin(data.tasks) & table["seeds"].notna()]
    if wanted.frames is not None and "frames" in rows.columns:
        rows = rows[rows["frames"] == wanted.frames]
    compared = []
    for _, row in rows.iterrows():
        frames = int(row["frames"]) if "frames" in rows.columns and pd.notna(row["frames"]) else wanted.frames
        frames = wanted.ours_at or frames
        theirs = printed_sample(row)
        entry = {
            "task": row["task"],
            "algorithm": row["algorithm"],
            "frames": frames,
            "theirs": vars(theirs),
            "source": row["source"],
            "ours": None,
            "difference": None,
            "agreement": "not trained",
        }
        values = ours_at(frame, row["algorithm"], row["task"], drawing, wanted, frames)
        if len(values):
            ours = Sample.of(values)
            difference = welch(ours, theirs)
            entry["ours"] = vars(ours)
            entry["difference"] = {"value": difference.value, "low": difference.low, "high": difference.high}
            entry["agreement"] = agreement(difference, theirs.mean, wanted.margin)
        compared.append(entry)
    return compared


def ours_at(
    frame: pd.DataFrame, algorithm: str, task: str, drawing: Drawing, wanted: Reference, frames: int | None
) -> Any:
    """Our numbers, a seed each; none unless every seed was evaluated at the reference's frames."""
    data = drawing.data
    if frames is not None and seeds_without(frame, algorithm, task, data.measure, data.phase, frames):
        return []
    return seed_values(frame, algorithm, task, data.measure, data.phase, wanted.statistic, frames)


def aggregate(drawing: Drawing, frame: pd.DataFrame) -> dict[str, Any]:
    """Interquartile mean over all seeds and tasks of the measure at the end, with a bootstrap stratified by task.

    Only over two tasks or more, and for an algorithm that was trained on all of them.
    """
    data = drawing.data
    found: dict[str, Any] = {}
    if drawing.kind not in ("learning_curve", "table") or len(data.tasks) < 2:
        return found
    for algorithm in data.algorithms:
        strata = [seed_values(frame, algorithm, task, data.measure, data.phase, "final") for task in data.tasks]
        if all(len(stratum) for stratum in strata):
            estimate = stratified_bootstrap(strata, interquartile_mean)
            found[algorithm] = {"interquartile_mean": estimate.value, "low": estimate.low, "high": estimate.high}
    return found
