"""Bias and variance of entropy estimators, and of their gradients, against K: a column of panels per dimension."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.learning_curve import AXIS, TITLE, curve_handle
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.style import GREY, Appearance, appearances
from relatent.specs.errors import RelatentError

HEIGHT, GAP, LEFT = 1.0, (0.12, 0.12), 0.66
"""Inches."""
LABELS = {
    "nested": "nested",
    "mlmc": "MLMC",
    "mlmc_literal": "MLMC, Eq. 12 literally",
    "elbo": "ELBO (naive)",
    "iwae": "IWAE",
}
LINEAR = 0.1
"""Nats up to which the bias's axis is linear."""
QUANTITIES = {
    "bias": "bias (nats)",
    "variance": "variance (nats²)",
    "gradient_bias": "gradient |bias|",
    "gradient_variance": "gradient variance",
}
KEYS = ["estimator", "dimension", "particles"]


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the study's numbers, a row for each seed, estimator, dimension and number of particles."""
    table = measurements(gathered)
    names, dimensions = list(table["estimator"].unique()), sorted(int(one) for one in table["dimension"].unique())
    styles = appearances(names)
    count = table["seed"].nunique()
    shown = (
        f"{drawing.caption.rstrip('.')}. {seeds_phrase([count], drawing.seeds_wanted)}; points: mean over seeds of "
        f"{samples_of(gathered):,} independent estimates each. Gradients are by the policy's gain and log-width: "
        f"norm of their bias, sum of their variances. The bias's axis is linear up to {LINEAR:g} nats."
    )
    notes = common_notes(drawing, check, shown)
    legend: list[tuple[Any, str]] = [(curve_handle(styles[name]), LABELS.get(name, name)) for name in names]
    body = TITLE + len(QUANTITIES) * HEIGHT + (len(QUANTITIES) - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, notes, body, legend)
    panels = paper.grid(len(QUANTITIES) * len(dimensions), len(dimensions), HEIGHT, GAP, left=LEFT, top=TITLE)
    means = table.groupby(KEYS, sort=False).mean(numeric_only=True).reset_index()
    for index, panel in enumerate(panels):
        row, column = divmod(index, len(dimensions))
        quantity = list(QUANTITIES)[row]
        one(panel, means[means["dimension"] == dimensions[column]], quantity, styles)
        panel.set_ylim(limits(means, quantity))
        if row == 0:
            panel.set_title(f"{dimensions[column]} dimension{'s' * (dimensions[column] > 1)}")
        if row == len(QUANTITIES) - 1:
            panel.set_xlabel("particles K")
        else:
            panel.tick_params(labelbottom=False)
        if column == 0:
            panel.set_ylabel(QUANTITIES[quantity])
            panel.yaxis.set_label_coords(-0.36 / (panel.get_position().width * drawing.look.width), 0.5)
        else:
            panel.tick_params(labelleft=False)
    return paper.figure, table


def measurements(gathered: Gathered) -> pd.DataFrame:
    """The study's arrays side by side, estimators by name."""
    names: dict[int, list[str]] = {run["seed"]: run["manifest"]["spec"]["hyper"]["estimators"] for run in gathered.runs}
    probes = gathered.frame[gathered.frame["phase"] == "probe"]
    wide = probes.pivot(index=["seed", "episode"], columns="measure", values="value").reset_index()
    absent = [key for key in (*QUANTITIES, "estimator_index", "particles", "dimension") if key not in wide.columns]
    if absent:
        raise RelatentError(f"the estimators' study has no {', '.join(absent)}; was it made by an older revision?")
    wide["estimator"] = [names[seed][int(i)] for seed, i in zip(wide["seed"], wide["estimator_index"], strict=True)]
    wide = wide.astype({"particles": int, "dimension": int})
    numbers = ["true_entropy", "bias", "bias_se", "variance", "gradient_bias", "gradient_bias_se", "gradient_variance"]
    return wide[["seed", *KEYS, *numbers]].rename_axis(columns=None)


def samples_of(gathered: Gathered) -> int:
    return int(gathered.runs[0]["manifest"]["spec"]["hyper"]["samples"])


def one(panel: Axes, means: pd.DataFrame, quantity: str, styles: dict[str, Appearance]) -> None:
    """One quantity in one dimension, against K."""
    if quantity == "bias":
        panel.set_yscale("symlog", linthresh=LINEAR)
        panel.axhline(0, color=GREY, linewidth=0.5)
    else:
        panel.set_yscale("log")
    for name, style in styles.items():
        curve = means[means["estimator"] == name].sort_values("particles")
        panel.plot(
            curve["particles"],
            curve[quantity],
            color=style.colour,
            linestyle=style.dash,
            marker=style.marker,
            markersize=3.0,
            markeredgecolor="white",
            markeredgewidth=0.3,
            linewidth=1.0,
        )
    panel.set_xscale("log", base=2)
    panel.set_xticks(sorted(means["particles"].unique())[::2])
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.minorticks_off()
    panel.grid(axis="y", color="#EAEAEA", linewidth=0.5)
    if quantity != "bias":
        panel.yaxis.set_major_locator(LogLocator(numticks=5))
        panel.yaxis.set_minor_formatter(NullFormatter())


def limits(means: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """The same for every dimension."""
    values = means[quantity].to_numpy(float)
    if quantity == "bias":
        return min(-LINEAR, 1.6 * values.min()), max(LINEAR, 1.6 * values.max())
    positive = values[values > 0]
    return (positive.min() / 1.6, positive.max() * 1.6) if len(positive) else (0.1, 1.0)
