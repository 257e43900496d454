"""One gathered table to one figure: PDF, SVG, the plotted numbers as CSV, and the manifest."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pandas as pd
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing, read_drawing
from relatent.figures.gather import Gathered, read_gathered
from relatent.figures.manifest import figure_manifest
from relatent.figures.plain import to_json
from relatent.figures.style import print_style, rendered
from relatent.specs.figure import Kind
from relatent.specs.files import write_atomic

Draw = Callable[[Gathered, Drawing, dict[str, Any]], tuple[Figure, pd.DataFrame]]


def draw_kind(kind: Kind) -> Draw:
    """`draw` of the module that is named like the kind. The others stay unread: one of them needs PyTorch."""
    return cast(Draw, import_module(f"relatent.figures.{kind}").draw)


def draw(parquet: Path, drawing: Drawing | dict[str, Any], check: dict[str, Any], outputs: Path) -> dict[str, Any]:
    """Write `outputs`.pdf, .svg, .csv and .json, whatever suffix `outputs` has; returns the manifest."""
    drawing, gathered = read_drawing(drawing), read_gathered(parquet)
    with print_style():
        figure, plotted = draw_kind(drawing.kind)(gathered, drawing, check)
        files = rendered(figure, drawing.figure)
    files["csv"] = plotted.to_csv(index=False, lineterminator="\n", float_format="%.8g").encode()
    manifest = figure_manifest(drawing, gathered, check, files)
    files["json"] = (json.dumps(to_json(manifest), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    for suffix, content in files.items():
        write_atomic(Path(outputs).with_suffix(f".{suffix}"), content)
    return manifest
