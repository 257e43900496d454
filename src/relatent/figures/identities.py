"""RPG's Table 2 with both sides of every row's identity: what the paper writes, and what our models give."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import SIDE, common_notes, rule, seeds_phrase, sheet
from relatent.figures.style import GREY, INK
from relatent.specs.errors import RelatentError
from relatent.studies.elbo_identities import METHODS

ROW, HEAD, SIZE = 0.3, 0.36, 7.5
"""Inches of a row and of the heads; points."""


@dataclass(frozen=True)
class Row:
    """What the paper's table says of a method; formulas for mathtext."""

    label: str
    latent: str
    encoder: str
    joint: str
    objective: str


PAPER = {
    "vae": Row("VAE", r"$z$", r"$p_\phi(z|x)$", r"$p_\theta(x|z)\,p(z)$", r"$p(x)$"),
    "em": Row(
        "EM",
        r"$z$",
        r"$\max_\phi \log p_\theta(x)-D_{KL}(q_\phi\|p_\theta(z|x))$",
        r"$p_\theta(x|z)\,p_\theta(z)$",
        r"$p(x)$",
    ),
    "diffusion": Row(
        "Diffusion",
        r"$\{x_t\}_{t\geq 1}$",
        r"$\prod_t \mathcal{N}(x_t;\sqrt{1-\beta_t}\,x_{t-1},\beta_t I)$",
        r"$p(x_T)\prod_t p_\theta(x_{t-1}|x_t)$",
        r"$p(x_0)$",
    ),
    "maxent_rl": Row("MaxEntRL", r"$\tau$", r"$\pi_\theta(\tau)$", r"$p(O|\tau)\,p(\tau)$", r"$p(O)$"),
    "rpg": Row("RPG", r"$\tau,\ z$", r"$\pi_\theta(z,\tau)$", r"$p(O|\tau)\,p_\phi(z|\tau)\,p(\tau)$", r"$p(O)$"),
    "rpg_mdp": Row("RPG, T = {horizon}", r"$\tau,\ z$", r"Eq. 1", r"Eq. 2", r"$p(O)$"),
}
HEADS = ["", "latent", "encoder q", "joint p", "MLE of", "log p", "ELBO + KL", "ELBO", "KL", "largest\ndifference"]
AT = [0.0, 0.1, 0.17, 0.405, 0.562, 0.69, 0.775, 0.86, 0.93, 1.0]
"""Where each column begins (words) or ends (numbers), as a share of the width."""
WORDS = 5
"""So many columns are the paper's; the others are numbers."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its numbers, a row a method."""
    table = numbers(gathered.frame)
    hyper = gathered.runs[0]["manifest"]["spec"]["hyper"]
    count = gathered.frame["seed"].nunique()
    height = HEAD + ROW * len(table) + 0.06
    shown = (
        f"{drawing.caption.rstrip('.')}. Left: the paper's table. Right: one fixed model of each method, in nats; "
        "log p is from the marginal, ELBO from the joint, KL from the posterior. Largest |log p - (ELBO + KL)| over "
        f"that model and {hyper['models'] - 1} random ones for each of "
        f"{seeds_phrase([count], drawing.seeds_wanted)}. Models: linear Gaussian (VAE; diffusion with "
        f"{hyper['noisings']} steps), a mixture of two Gaussians after an M-step (EM), {hyper['latents']} values of "
        f"z and {hyper['actions']} actions (MaxEntRL, RPG), and {hyper['states']} states besides (last row; its "
        "trajectories enumerated)."
    )
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), height + 0.06)
    panel = paper.place(SIDE, 0, drawing.look.width - 2 * SIDE, height)
    write(panel, table, height, hyper["horizon"])
    return paper.figure, table


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Both sides of each method's fixed model, and the largest difference over all models and seeds."""
    probes = frame[frame["measure"].isin(["method", "model", "evidence", "elbo", "divergence"])]
    wide = probes.pivot(index=["seed", "episode"], columns="measure", values="value").reset_index()
    if "divergence" not in wide.columns:
        raise RelatentError("the identities' study has no divergence; was it made by an older revision?")
    wide["sum"] = wide["elbo"] + wide["divergence"]
    wide["largest_difference"] = (wide["evidence"] - wide["sum"]).abs()
    largest = wide.groupby("method")["largest_difference"].max()
    fixed = wide[wide["model"] == 0].groupby("method")[["evidence", "sum", "elbo", "divergence"]].first()
    found = fixed.join(largest).join(wide.groupby("method").size().rename("models")).reset_index()
    return found.assign(method=[METHODS[int(one)] for one in found["method"]])


def write(panel: Axes, table: pd.DataFrame, height: float, horizon: int) -> None:
    """Ruled as a printed table: above, below the heads, between the paper's columns and ours, below."""
    panel.set_axis_off()
    panel.set_xlim(0, 1)
    panel.set_ylim(height, 0)
    for y, weight in ((0.0, 0.8), (HEAD, 0.4), (height - 0.04, 0.8)):
        drawn = rule(0, 1, y, weight)
        drawn.set_color(INK)
        drawn.set_clip_on(False)
        panel.add_line(drawn)
    for column, (x, head) in enumerate(zip(AT, HEADS, strict=True)):
        align = "left" if column < WORDS else "right"
        panel.text(x, HEAD / 2, head, ha=align, va="center", size=SIZE, style="italic", linespacing=0.95)
    for position, row in enumerate(table.to_dict("records")):
        y = HEAD + (position + 0.5) * ROW
        said = PAPER[row["method"]]
        words = [said.label.format(horizon=horizon), said.latent, said.encoder, said.joint, said.objective]
        values = [f"${row[name]:.6f}$" for name in ("evidence", "sum", "elbo", "divergence")]
        cells = [*words, *values, power(row["largest_difference"])]
        for column, (x, cell) in enumerate(zip(AT, cells, strict=True)):
            align = "left" if column < WORDS else "right"
            panel.text(x, y, cell, ha=align, va="center", size=SIZE, color=INK if column != WORDS + 4 else GREY)


def power(value: float) -> str:
    """A tiny number, rounded up: `4e-14` as a power of ten."""
    if value == 0:
        return "0"
    exponent = int(np.floor(np.log10(value)))
    digit = int(np.ceil(value / 10.0**exponent))
    digit, exponent = (1, exponent + 1) if digit == 10 else (digit, exponent)
    return rf"${digit}\cdot 10^{{{exponent}}}$"
