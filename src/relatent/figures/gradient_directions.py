"""Which policies can be on both peaks of a reward, and where gradients point: all numbers of the directions study.

Above, the paper's four panels with densities instead of sketches; below, what they rest on.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.recorded import Recorded
from relatent.figures.statistics import mean_interval
from relatent.figures.style import BLUE, DASH_DOT, DASHED, DOTTED, GREEN, GREY, INK, LIGHT, SOLID, VERMILION, Dash

HEIGHT, GAP, NARROW, TOP, AXIS, LEFT = 1.15, 0.5, 0.1, 0.2, 0.42, 0.54
"""Inches: a panel, between columns with an axis and without, above a row, below it, before the first column."""
DENSITY_TICKS = [0, 0.5, 2, 5]
GRADIENTS: dict[str, tuple[str, str, Dash]] = {
    "score": ("policy gradient", INK, SOLID),
    "pathwise": ("pathwise", BLUE, DASHED),
    "jump": ("of the jump", VERMILION, DOTTED),
    "tutorial": ("tutorial's", GREEN, DASH_DOT),
}
"""Label, colour and dash of each gradient over the mean."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and every point of it."""
    numbers = Recorded.of(gathered.frame, "curve_score")
    hyper = gathered.runs[0]["manifest"]["spec"]["hyper"]
    count = gathered.frame["seed"].nunique()
    std = float(np.exp(hyper["init_log_std"]))
    seeds = seeds_phrase([count], drawing.seeds_wanted)
    shown = (
        f"{drawing.caption.rstrip('.')}. Gaussians are under tanh, with mean μ and deviation s before it; that of C "
        f"and E starts at μ = 0, s = {std:.3g}. Triangles in B: whether the gradient of J = E[r] raises or lowers a "
        f"bin of the uniform softmax. Wanted: exp(r/T)/Z at T = {hyper['temperature']:g}; policies: where exact "
        "gradients of KL(policy || wanted) lead each class, a softmax in closed form; densities on a square-root "
        f"scale. In E, policy gradient = pathwise + jump. Exact, but for what depends on {seeds}: squares in E, the "
        f"mean of {hyper['samples']:,} estimates a seed with its 95 % Student-t interval, and where the latent "
        "policy starts (D: the first seed; G: mean and 95 % interval)."
    )
    body = 2 * (TOP + HEIGHT + AXIS)
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), body, legend())
    room = drawing.look.width - LEFT - 0.12
    wide = (room - GAP - 2 * NARROW) / 4
    starts = [LEFT, *(LEFT + wide + GAP + column * (wide + NARROW) for column in range(3))]
    upper = [paper.place(x, TOP, wide, HEIGHT) for x in starts]
    for panel, one in zip(upper, (rewards, softmax, gaussian, latent), strict=True):
        one(panel, numbers)
        panel.set_xlim(-1, 1)
        panel.set_xticks([-0.6, 0, 0.875], ["-0.6", "0", "0.875"])
        panel.set_xlabel("action a", labelpad=1)
    for panel in upper[1:]:
        densities(panel, labelled=panel is upper[1])
    across = (room - 2 * GAP) / 3
    below = 2 * TOP + HEIGHT + AXIS
    lower = [paper.place(LEFT + column * (across + GAP), below, across, HEIGHT) for column in range(3)]
    for panel, one in zip(lower, (over_means, over_widths, divergences), strict=True):
        one(panel, numbers)
    return paper.figure, numbers.table()


def legend() -> list[tuple[Any, str]]:
    return [
        (Patch(facecolor=LIGHT, edgecolor=GREY, linewidth=0.6), "wanted policy"),
        (Line2D([], [], color=INK, linewidth=1.2), "policy"),
        (Line2D([], [], color=GREY, linewidth=1.0, linestyle=DASHED), "where it starts"),
        (Line2D([], [], color=BLUE, linewidth=0.7), "its component for one z"),
    ]


def rewards(panel: Axes, numbers: Recorded) -> None:
    """The reward, and the areas that a broad Gaussian weighs against each other."""
    grid, height = numbers.first("grid"), numbers.first("reward")
    numbers.note("A", "reward", grid, value=height)
    panel.fill_between(grid, 0, np.where(grid < -0.3, height, 0), color=VERMILION, linewidth=0, alpha=0.85)
    right = panel.fill_between(grid, 0, np.where(grid > -0.3, height, 0), facecolor=BLUE, linewidth=0, alpha=0.85)
    right.set_hatch("////")
    right.set_edgecolor("white")
    panel.plot(grid, height, color=INK, linewidth=0.8)
    panel.text(-0.42, 1.08, "area 0.181", size=6.5, va="top")
    panel.text(0.34, 0.58, "area 0.333", size=6.5, ha="center")
    panel.set_ylim(0, 1.25)
    panel.set_ylabel("reward", labelpad=2)
    panel.set_title("(A) reward", size=8)


def wanted(panel: Axes, numbers: Recorded) -> None:
    """Behind each policy, the one that is wanted."""
    grid, density = numbers.first("grid"), numbers.first("target_density")
    panel.fill_between(grid, 0, density, facecolor=LIGHT, edgecolor=GREY, linewidth=0.6)


def densities(panel: Axes, labelled: bool) -> None:
    """One scale for all, on which the low peak is seen beside the high one."""
    panel.set_yscale("function", functions=(lambda value: np.sqrt(np.maximum(value, 0)), np.square))
    panel.set_ylim(0, 7.5)
    panel.set_yticks(DENSITY_TICKS)
    panel.tick_params(labelleft=labelled, pad=1.5)


def softmax(panel: Axes, numbers: Recorded) -> None:
    """The best softmax over the paper's bins, and the signs of the gradient by the uniform one's logits."""
    edges, density, gradient = (numbers.first(f"drawn_{name}") for name in ("edges", "density", "gradient"))
    step = edges[1] - edges[0]
    wanted(panel, numbers)
    panel.stairs(density, [*edges, edges[-1] + step], color=INK, linewidth=1.2)
    for edge, height, sign in zip(edges, density, gradient, strict=True):
        marker, face = ("^", INK) if sign > 0 else ("v", "white")
        at = height + 0.12 + 0.22 * np.sqrt(height)  # as far above every bar, on this scale
        panel.plot(edge + step / 2, at, marker, markersize=3.4, color=INK, markerfacecolor=face, markeredgewidth=0.6)
    numbers.note("B", "softmax density", edges + step / 2, value=density)
    numbers.note("B", "gradient of a uniform softmax's logits", edges + step / 2, value=gradient)
    panel.set_title(f"(B) softmax over {len(edges)} bins", size=8)


def gaussian(panel: Axes, numbers: Recorded) -> None:
    """Where the Gaussian starts, where its gradient points, where gradients lead it."""
    grid = numbers.first("grid")
    wanted(panel, numbers)
    panel.plot(grid, numbers.first("start_density"), color=GREY, linewidth=1.0, linestyle=DASHED)
    panel.plot(grid, numbers.first("gaussian_density"), color=INK, linewidth=1.2)
    for name in ("target", "start", "gaussian"):
        numbers.note("C", f"{name} density", grid, value=numbers.first(f"{name}_density"))
    arrow = {"arrowstyle": "-|>", "color": VERMILION, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    panel.annotate("", xy=(0.5, 3.4), xytext=(0.0, 3.4), arrowprops=arrow)
    panel.plot(0, 3.4, "o", color=VERMILION, markersize=2.6)
    panel.text(0.25, 4.2, f"∂J/∂μ = {numbers.one('score'):+.4f}", size=6.5, ha="center", va="bottom")
    panel.set_title("(C) Gaussian", size=8)


def latent(panel: Axes, numbers: Recorded) -> None:
    """The mixture and its components."""
    grid, count = numbers.first("grid"), 0
    wanted(panel, numbers)
    while f"latent_component_density_{count}" in numbers.arrays:
        component = numbers.first(f"latent_component_density_{count}")
        panel.plot(grid, component, color=BLUE, linewidth=0.7)
        numbers.note("D", f"component {count} density", grid, value=component)
        count += 1
    panel.plot(grid, numbers.first("latent_density"), color=INK, linewidth=1.2)
    numbers.note("D", "latent density", grid, value=numbers.first("latent_density"))
    panel.set_title(f"(D) latent policy, K = {count}", size=8)


def over_means(panel: Axes, numbers: Recorded) -> None:
    """Each gradient over the mean, at the start's width; sampled at the start."""
    means = numbers.first("curve_mean")
    panel.axhline(0, color=GREY, linewidth=0.5)
    for name, (label, colour, dash) in GRADIENTS.items():
        height = numbers.first(f"curve_{name}")
        panel.plot(means, height, color=colour, linestyle=dash, linewidth=1.2, label=label)
        numbers.note("E", label, means, value=height)
        if f"sampled_{name}" not in numbers.arrays:
            continue
        sampled = mean_interval(numbers.arrays[f"sampled_{name}"][:, 0])
        error = [[sampled.value - sampled.low], [sampled.high - sampled.value]]
        panel.errorbar(
            0, sampled.value, yerr=error, marker="s", markersize=2.6, color=colour, elinewidth=0.8, capsize=1.5
        )
        numbers.note("E", f"{label}, sampled", [0.0], value=[sampled.value], low=[sampled.low], high=[sampled.high])
    score = numbers.first("curve_score")
    turn = int(np.flatnonzero((score[:-1] > 0) & (score[1:] <= 0))[0])
    zero = means[turn] + (means[turn + 1] - means[turn]) * score[turn] / (score[turn] - score[turn + 1])
    panel.plot(
        zero, 0, "o", markersize=3.2, markerfacecolor="white", markeredgecolor=INK, markeredgewidth=0.8, zorder=4
    )
    thin = {"arrowstyle": "-", "linewidth": 0.5, "shrinkB": 2}
    panel.annotate(f"turns at {zero:.2f}", (zero, 0), (-1.42, -0.026), size=6.5, arrowprops=thin)
    numbers.note("E", "policy gradient is zero", [zero], value=[0.0])
    panel.set_xlim(means[0], means[-1])
    panel.set_ylim(-0.135, 0.11)
    panel.set_xlabel("mean μ, before tanh", labelpad=1)
    panel.set_ylabel("gradient by μ", labelpad=1)
    panel.set_title("(E) gradients at the start's width", size=8)
    panel.legend(fontsize=6, frameon=False, loc="lower left", handlelength=2.0, labelspacing=0.15, borderpad=0, ncols=2,
                 columnspacing=0.8, bbox_to_anchor=(0.0, 0.0))  # fmt: skip


def over_widths(panel: Axes, numbers: Recorded) -> None:
    """That the policy gradient points right at zero whatever the width, and hardly where the Gaussian is broad."""
    stds = numbers.first("width_std")
    for name, label, colour, dash in (("plain", "Gaussian", BLUE, DASHED), ("tanh", "under tanh", INK, SOLID)):
        height = numbers.first(f"width_{name}_score")
        panel.plot(stds, height, color=colour, linestyle=dash, linewidth=1.2, label=label)
        numbers.note("F", label, stds, value=height)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.minorticks_off()
    panel.set_xlabel("deviation s, before tanh", labelpad=1)
    panel.set_ylabel("policy gradient by μ", labelpad=1)
    panel.set_title("(F) at μ = 0 it points right", size=8)
    panel.legend(fontsize=6, frameon=False, loc="upper right", handlelength=2.0, labelspacing=0.15, borderpad=0)


def divergences(panel: Axes, numbers: Recorded) -> None:
    """How far the best policy of each class is from the wanted one."""
    bins, height = numbers.first("bins"), numbers.first("softmax_reverse_kl")
    panel.plot(bins, height, color=INK, marker="o", markersize=3, linewidth=1.0)
    numbers.note("G", "softmax", bins, value=height)
    levels = {
        "Gaussian, from the start": ("gaussian_reverse_kl", VERMILION, DOTTED),
        "best Gaussian": ("gaussian_best_reverse_kl", VERMILION, DASHED),
        "latent policy": ("latent_reverse_kl", BLUE, SOLID),
    }
    for label, (name, colour, dash) in levels.items():
        found = mean_interval(numbers.arrays[name][:, 0])
        panel.axhline(found.value, color=colour, linestyle=dash, linewidth=1.0, label=label)
        if found.high > found.low:
            panel.axhspan(max(found.low, 1e-4), found.high, color=colour, alpha=0.2, linewidth=0)
        numbers.note("G", label, [np.nan], value=[found.value], low=[found.low], high=[found.high])
    panel.plot([], [], color=INK, marker="o", markersize=3, linewidth=1.0, label="softmax")
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_ylim(0.002, 1.5)
    panel.set_xticks(bins, [f"{one:g}" for one in bins])
    panel.minorticks_off()
    panel.set_xlabel("bins of the softmax", labelpad=1)
    panel.set_ylabel("KL to wanted (nats)", labelpad=1)
    panel.set_title("(G) each class at its best", size=8)
    panel.legend(fontsize=6, frameon=False, loc="center left", handlelength=2.2, labelspacing=0.15, borderpad=0,
                 bbox_to_anchor=(0.02, 0.4))  # fmt: skip
