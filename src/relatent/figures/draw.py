"""One gathered table to one figure: PDF, SVG, the plotted numbers as CSV, and the manifest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from relatent.figures import (
    bandit,
    bias,
    classifier_odds,
    entropy_curve,
    estimators,
    gradient_directions,
    identities,
    latent_bounds,
    learning_curve,
    log_rewards,
    maze,
    multimodal_bandit,
    open_loop,
    panels,
    provenance_table,
    summary,
    sweep,
    table,
    wall_clock,
)
from relatent.figures.drawing import Drawing, read_drawing
from relatent.figures.gather import Gathered, read_gathered
from relatent.figures.manifest import figure_manifest
from relatent.figures.plain import to_json
from relatent.figures.style import print_style, rendered
from relatent.specs.files import write_atomic

Draw = Callable[[Gathered, Drawing, dict[str, Any]], tuple[Figure, pd.DataFrame]]

KINDS: dict[str, Draw] = {
    "learning_curve": learning_curve.draw,
    "table": table.draw,
    "entropy_curve": entropy_curve.draw,
    "bandit": bandit.draw,
    "estimators": estimators.draw,
    "multimodal_bandit": multimodal_bandit.draw,
    "gradient_directions": gradient_directions.draw,
    "identities": identities.draw,
    "latent_bounds": latent_bounds.draw,
    "log_rewards": log_rewards.draw,
    "classifier_odds": classifier_odds.draw,
    "maze": maze.draw,
    "summary": summary.draw,
    "wall_clock": wall_clock.draw,
    "bias": bias.draw,
    "open_loop": open_loop.draw,
    "sweep": sweep.draw,
    "provenance_table": provenance_table.draw,
    "panels": panels.draw,
}


def draw(parquet: Path, drawing: Drawing | dict[str, Any], check: dict[str, Any], outputs: Path) -> dict[str, Any]:
    """Write `outputs`.pdf, .svg, .csv and .json, whatever suffix `outputs` has; returns the manifest."""
    drawing, gathered = read_drawing(drawing), read_gathered(parquet)
    with print_style():
        figure, plotted = KINDS[drawing.kind](gathered, drawing, check)
        files = rendered(figure, drawing.figure)
    files["csv"] = plotted.to_csv(index=False, lineterminator="\n", float_format="%.8g").encode()
    manifest = figure_manifest(drawing, gathered, check, files)
    files["json"] = (json.dumps(to_json(manifest), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    for suffix, content in files.items():
        write_atomic(Path(outputs).with_suffix(f".{suffix}"), content)
    return manifest
