"""What ALM's classifier converges to with fakes of the latent that it sees, and with fakes of another draw."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.recorded import Recorded
from relatent.figures.statistics import Array, mean_interval
from relatent.figures.style import BLUE, DASH_DOT, DASHED, GREEN, GREY, INK, LIGHT, SOLID, VERMILION, Dash
from relatent.objectives.classifier_limit import PAIRINGS, LinearGaussian, features

HEIGHT, TOP, AXIS, LEFT, GAP = 1.3, 0.2, 0.42, 0.6, 0.55
"""Inches: a panel, above a row, below it, before the first column, between columns."""
LOOKS: dict[str, tuple[str, str, Dash]] = {
    "intrinsic": ("log e - log m, what it stands for", INK, SOLID),
    "paper": ("fakes of the z that is shown (paper)", BLUE, DASHED),
    "code": ("fakes of another draw of z (code)", VERMILION, DASH_DOT),
}
TERMS = ("1", "z²", "z'²", "z z'")
REACH = 3.2
"""Largest |z| and |z'| of a map."""
LEVELS = np.array([-4, -2, -1, -0.5, 0, 1, 3, 9])


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and every point of it."""
    recorded = Recorded.of(gathered.frame, "curve_intrinsic")
    hyper = gathered.runs[0]["manifest"]["spec"]["hyper"]
    model = LinearGaussian(*(hyper[name] for name in LinearGaussian._fields))
    constants = ", ".join(f"{name} = {value:g}" for name, value in zip("SgPVbW", model, strict=True))
    count = gathered.frame["seed"].nunique()
    pay = {name: f"{recorded.one(name):+.3f}" for name in ("mean_intrinsic", "mean_paper", "mean_code", "perfect_code")}
    shown = (
        f"{drawing.caption.rstrip('.')}. s ~ N(0, S), s' ~ N(g s, P), e(z|s) = N(s, V), m(z'|z) = N(b z, W) with "
        f"{constants}. A: real pairs and both kinds of fakes, ellipses that hold 39 and 86 %. B, C: the limits in "
        f"closed form, {polynomial(recorded, 'paper')} and {polynomial(recorded, 'code')}; blue where a step is "
        f"rewarded. D: logistic regression on {hyper['pairs']:,} pairs, less the limit; dots: each of "
        f"{seeds_phrase([count], drawing.seeds_wanted)}, bars: 95 % Student-t interval of the mean. E: what an "
        f"imagined step is paid, given z; over all z {pay['mean_intrinsic']}, {pay['mean_paper']} (paper), "
        f"{pay['mean_code']} (code). F: the latter over V = W. A model that is p(z'|z) itself would be paid 0 (paper) "
        f"and {pay['perfect_code']} (code)."
    )
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), 2 * (TOP + HEIGHT + AXIS), legend())
    panels = paper.grid(6, 3, HEIGHT, (GAP, TOP + AXIS), left=LEFT, top=TOP)
    laws(panels[0], recorded, model)
    for panel, letter, pairing in zip(panels[1:3], "BC", PAIRINGS, strict=True):
        odds(panel, recorded, model, letter, pairing)
    for panel in panels[:3]:
        panel.set_xlabel("z", labelpad=1)
        panel.set_ylabel("z'", labelpad=0, rotation=0)
    fitted(panels[3], recorded)
    given(panels[4], recorded)
    over_variances(panels[5], recorded)
    return paper.figure, recorded.table()


def legend() -> list[tuple[Any, str]]:
    return [
        *((Line2D([], [], color=colour, linestyle=dash), label) for label, colour, dash in LOOKS.values()),
        (Line2D([], [], color=GREEN), "real pairs"),
        (Patch(facecolor=LIGHT, edgecolor=GREY, linewidth=0.5), "imagined pairs"),
    ]


def polynomial(recorded: Recorded, pairing: str) -> str:
    """`-0.294 + 1.289 z² ..`."""
    constant, *others = recorded.first(f"limit_{pairing}")
    terms = [f"{'+' if one >= 0 else '-'} {abs(one):.3f} {term}" for one, term in zip(others, TERMS[1:], strict=True)]
    return " ".join([f"{constant:.3f}", *terms])


def ellipse(covariance: Array, radius: float) -> Array:
    """(2, n) points so many deviations from the mean."""
    angle = np.linspace(0, 2 * np.pi, 121)
    return np.asarray(radius * np.linalg.cholesky(covariance) @ np.stack([np.cos(angle), np.sin(angle)]))


def laws(panel: Axes, recorded: Recorded, model: LinearGaussian) -> None:
    """Where pairs lie."""
    drawn = {"real": (model.real(), GREEN, SOLID)}
    drawn |= {pairing: (model.fake(pairing), *LOOKS[pairing][1:]) for pairing in PAIRINGS}
    for name, (covariance, colour, dash) in drawn.items():
        for radius in (1, 2):
            x, y = ellipse(covariance, radius)
            panel.plot(x, y, color=colour, linestyle=dash, linewidth=1.1)
            recorded.note("A", f"{name}, {radius} deviations", x, value=y)
    panel.set_xlim(-REACH, REACH)
    panel.set_ylim(-REACH, REACH)
    panel.set_title("(A) pairs", size=8)


def odds(panel: Axes, recorded: Recorded, model: LinearGaussian, letter: str, pairing: str) -> None:
    """A map of the limit: full lines where it is positive, so that a step is rewarded, broken where negative."""
    for radius in (2, 1):
        panel.fill(*ellipse(model.fake("paper"), radius), facecolor=LIGHT, edgecolor=GREY, linewidth=0.5)
    line = np.linspace(-REACH, REACH, 81)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    height = (features(grid.reshape(-1, 2)) @ recorded.first(f"limit_{pairing}")).reshape(81, 81)
    panel.contourf(line, line, height, [0, np.inf], colors=[BLUE], alpha=0.12)
    colours = [VERMILION if level < 0 else INK if level == 0 else BLUE for level in LEVELS]
    dashes = ["dashed" if level < 0 else "solid" for level in LEVELS]
    widths = [1.4 if level == 0 else 0.8 for level in LEVELS]
    lines = panel.contour(line, line, height, LEVELS, colors=colours, linestyles=dashes, linewidths=widths)
    panel.clabel(lines, fontsize=5.5, inline_spacing=1, fmt="%g")
    diagonal, across = height.diagonal(), height[::-1].diagonal()
    recorded.note(letter, "limit along z' = z", line, value=diagonal)
    recorded.note(letter, "limit along z' = -z", line, value=across)
    panel.set_title(f"({letter}) log-odds, {pairing}", size=8)


def fitted(panel: Axes, recorded: Recorded) -> None:
    """Errors of logistic regression, coefficient by coefficient."""
    panel.axhline(0, color=GREY, linewidth=0.5)
    for aside, pairing in zip((-0.16, 0.16), PAIRINGS, strict=True):
        _, colour, _ = LOOKS[pairing]
        errors = recorded.arrays[f"fitted_{pairing}"] - recorded.first(f"limit_{pairing}")
        for position, error in enumerate(errors.T):
            found = mean_interval(error)
            panel.plot([position + aside] * len(error), error, ".", color=colour, markersize=2, alpha=0.5)
            if found.has_interval:
                panel.plot([position + aside + 0.1] * 2, [found.low, found.high], color=colour, linewidth=2.2)
            recorded.note("D", f"{pairing}, {TERMS[position]}", [position], value=[found.value], low=[found.low],
                          high=[found.high])  # fmt: skip
    panel.set_xlim(-0.5, len(TERMS) - 0.5)
    panel.set_xticks(range(len(TERMS)), TERMS)
    panel.set_ylabel("fitted - limit", labelpad=1)
    panel.set_title("(D) logistic regression", size=8)


def given(panel: Axes, recorded: Recorded) -> None:
    """What an imagined step pays in the mean, over z."""
    z = np.linspace(-REACH, REACH, 81)
    panel.axhline(0, color=GREY, linewidth=0.5)
    for name, (_, colour, dash) in LOOKS.items():
        constant, square = recorded.first(f"given_{name}")
        panel.plot(z, constant + square * z**2, color=colour, linestyle=dash)
        recorded.note("E", name, z, value=constant + square * z**2)
    panel.set_xlim(-REACH, REACH)
    panel.set_xlabel("z", labelpad=1)
    panel.set_ylabel("mean pay (nats)", labelpad=1)
    panel.set_title("(E) an imagined step", size=8)


def over_variances(panel: Axes, recorded: Recorded) -> None:
    """The mean over all z, where encoder and model have this variance."""
    variance = recorded.first("variance")
    panel.axhline(0, color=GREY, linewidth=0.5)
    for name, (_, colour, dash) in LOOKS.items():
        height = recorded.first(f"curve_{name}")
        panel.plot(variance, height, color=colour, linestyle=dash)
        recorded.note("F", name, variance, value=height)
    panel.set_xscale("log")
    panel.set_xlim(variance[0], variance[-1])
    panel.minorticks_off()
    panel.set_xlabel("variance of e and m", labelpad=1)
    panel.set_ylabel("mean pay (nats)", labelpad=1)
    panel.set_title("(F) an imagined step", size=8)
