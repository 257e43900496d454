"""How algorithms look, in every figure alike, and how figures are saved: for print, and the same bytes each time.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; line styles and markers say the same again, for
readers without colour.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import matplotlib
from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, LIGHT, INK = "#6E6E6E", "#E6E6E6", "#222222"

Dash = Literal["-"] | tuple[float, tuple[float, ...]]
SOLID: Dash = "-"
DASHED: Dash = (0.0, (4.0, 1.6))
DOTTED: Dash = (0.0, (1.1, 1.3))
DASH_DOT: Dash = (0.0, (4.5, 1.4, 1.0, 1.4))
LONG: Dash = (0.0, (8.0, 2.0))


@dataclass(frozen=True)
class Appearance:
    colour: str
    dash: Dash
    marker: str


# The estimators, and policies that differ in the estimator only.
NESTED, MLMC = Appearance(ORANGE, DASHED, "d"), Appearance(VERMILION, SOLID, "o")
ELBO, IWAE = Appearance(BLACK, DOTTED, "P"), Appearance(SKY, DASH_DOT, "v")
GAUSSIAN = Appearance(BLUE, DASHED, "s")
# RPG, model-based SAC, TD-MPC and Dreamer, with or without a bonus for novelty.
RPG, MODEL_SAC = Appearance(VERMILION, SOLID, "o"), Appearance(GREEN, DASHED, "v")
PLANNER, DREAMER = Appearance(PURPLE, DASH_DOT, "P"), Appearance(ORANGE, LONG, "D")
ALM = Appearance(VERMILION, SOLID, "o")

# The paper draws SMAC in red; vermilion is the nearest of the eight.
APPEARANCES = {
    "smac": MLMC,
    "sac": GAUSSIAN,
    "td3": Appearance(GREEN, DASH_DOT, "^"),
    "flow2": Appearance(SKY, DASHED, "v"),
    "flow4": Appearance(BLACK, DOTTED, "D"),
    "moe5": Appearance(PURPLE, LONG, "P"),
    "moe10": Appearance(ORANGE, DASH_DOT, "X"),
    "smac_k8": Appearance(ORANGE, DOTTED, "^"),
    "smac_k16": MLMC,
    "smac_k32": Appearance(PURPLE, DASHED, "D"),
    "smac_nested": NESTED,
    "smac_elbo": ELBO,
    "smac_iwae": IWAE,
    "smac_beta": Appearance(PURPLE, DASHED, "d"),
    **dict.fromkeys(("smac_pixels", "smac_small", "smac_clock"), MLMC),
    **dict.fromkeys(("latent_sac", "latent_sac_small", "latent_sac_clock"), Appearance(BLUE, LONG, "h")),
    **dict.fromkeys(("dreamer", "dreamer_small", "dreamer_clock"), Appearance(ORANGE, DASHED, "D")),
    **dict.fromkeys(("slac", "slac_released", "slac_small"), Appearance(GREEN, DASH_DOT, "^")),
    "lvp_nested": NESTED,
    "lvp_mlmc": MLMC,
    "gaussian": GAUSSIAN,
    "nested": NESTED,
    "mlmc": MLMC,
    "mlmc_literal": Appearance(PURPLE, DOTTED, "X"),
    "elbo": ELBO,
    "iwae": IWAE,
    "rpg": RPG,
    "rpg_paper": Appearance(ORANGE, DASHED, "d"),
    "rpg_narrow": Appearance(ORANGE, DASHED, "d"),
    "rpg_dense": RPG,
    "rpg_dense_paper": Appearance(ORANGE, DASHED, "d"),
    "rpg_locomotion": RPG,
    "rpg_pixels": RPG,
    "rpg_small": RPG,
    "mbsac_r": MODEL_SAC,
    "mbsac_r_narrow": Appearance(BLUE, DASH_DOT, "s"),
    "mbsac_dense": MODEL_SAC,
    "mbsac_dense_paper": Appearance(BLUE, DASH_DOT, "s"),
    "mbsac_pixels": MODEL_SAC,
    "mbsac_pixels_without_novelty": Appearance(BLACK, DOTTED, "X"),
    "sac_r": Appearance(SKY, DOTTED, "^"),
    "tdmpc": PLANNER,
    "tdmpc_r": PLANNER,
    **dict.fromkeys(("p2e", "p2e_small"), DREAMER),
    "dreamer_v2": DREAMER,
    "dreamer_v2_small": Appearance(BLUE, DASH_DOT, "s"),
    "rpg_categorical": Appearance(BLUE, DASH_DOT, "D"),
    "rpg_beta005": Appearance(PURPLE, LONG, "P"),
    "rpg_beta0005": Appearance(ORANGE, DASHED, "^"),
    "rpg_beta00001": Appearance(SKY, DASH_DOT, "D"),
    "rpg_beta0": Appearance(BLACK, DOTTED, "X"),
    "rpg_d6": Appearance(ORANGE, DASHED, "^"),
    "rpg_d3": Appearance(SKY, DASH_DOT, "D"),
    "rpg_d1": Appearance(BLACK, DOTTED, "X"),
    "rpg_small_replay": Appearance(BLUE, DASHED, "s"),
    "rpg_small_memory": Appearance(SKY, DASH_DOT, "D"),
    "rpg_no_encoding": Appearance(BLACK, DOTTED, "X"),
    "rpg_without_novelty": Appearance(BLACK, DOTTED, "X"),
    "mbsac_soft_mixture": Appearance(BLUE, DASH_DOT, "D"),
    "mbsac_mixture": Appearance(SKY, LONG, "h"),
    "mbsac_flow": Appearance(BLACK, DOTTED, "X"),
    "mbsac_cem": Appearance(PURPLE, DASHED, "P"),
    "alm": ALM,
    "alm_paper": Appearance(ORANGE, DASHED, "d"),
    "mbpo": Appearance(SKY, DASHED, "v"),
    "redq": Appearance(PURPLE, LONG, "P"),
    "sac_avg": Appearance(ORANGE, DASH_DOT, "D"),
    "sac_svg2": Appearance(ORANGE, LONG, "h"),
    "sac_svg3": Appearance(BLACK, DASH_DOT, "p"),
    "td3_ours": Appearance(GREEN, DASHED, "v"),
    "alm_td3": Appearance(ORANGE, DASH_DOT, "D"),
    "alm_no_kl": Appearance(BLACK, DOTTED, "X"),
    "alm_no_q": Appearance(BLUE, DASHED, "s"),
    "alm_no_value": Appearance(SKY, DASH_DOT, "D"),
    "alm_no_classifier": Appearance(PURPLE, LONG, "P"),
    "alm_k1": Appearance(BLACK, DOTTED, "X"),
    "alm_k2": Appearance(SKY, DASH_DOT, "D"),
    "alm_k5": Appearance(PURPLE, LONG, "P"),
    "alm_c005": Appearance(SKY, DASH_DOT, "D"),
    "alm_c015": Appearance(ORANGE, DASHED, "^"),
    "alm_c02": Appearance(BLUE, DASHED, "s"),
    "alm_c05": Appearance(PURPLE, LONG, "P"),
    "alm_c1": Appearance(BLACK, DOTTED, "X"),
    "alm_log_model": Appearance(BLUE, DASHED, "s"),
    "alm_log": Appearance(PURPLE, LONG, "P"),
    "alm_log_scaled": Appearance(ORANGE, DASH_DOT, "D"),
    "alm_identity": Appearance(BLACK, DOTTED, "X"),
    "alm_identity_fixed": Appearance(BLUE, DASHED, "s"),
    "alm_reconstruction": Appearance(BLUE, DASHED, "s"),
    "alm_linear": Appearance(BLUE, DASHED, "s"),
    "alm_critic_too": Appearance(BLUE, DASHED, "s"),
    "alm_critic_only": Appearance(PURPLE, LONG, "P"),
    "alm_entropy": Appearance(ORANGE, DASHED, "^"),
    "identities": Appearance(BLUE, SOLID, "o"),
    "em_certain": Appearance(BLUE, SOLID, "o"),
    "em_certain_uniform": Appearance(SKY, DASHED, "s"),
    "em_chance": Appearance(VERMILION, SOLID, "^"),
    "em_chance_uniform": Appearance(ORANGE, DASHED, "v"),
    "em_chance_forgetful": Appearance(BLACK, DOTTED, "X"),
    "latent_conventional": Appearance(BLACK, DOTTED, "X"),
    "latent_generative": Appearance(VERMILION, SOLID, "o"),
    "latent_discriminative": Appearance(BLUE, DASHED, "s"),
    "latent_separate": Appearance(GREEN, DASH_DOT, "^"),
    "latent_detached": Appearance(PURPLE, LONG, "P"),
    "latent_conventional_tenth": Appearance(GREY, DOTTED, "x"),
    "latent_generative_tenth": Appearance(ORANGE, DASHED, "D"),
    "marginal_exact": Appearance(VERMILION, SOLID, "o"),
    "marginal_one": Appearance(BLACK, DOTTED, "X"),
    "marginal_8": Appearance(SKY, DASHED, "v"),
    "marginal_64": Appearance(BLUE, LONG, "D"),
    "marginal_posterior": Appearance(GREEN, DASH_DOT, "^"),
    "marginal_own": Appearance(PURPLE, DASHED, "P"),
    "marginal_detached": Appearance(ORANGE, DASHED, "s"),
    "marginal_annealed_one": Appearance(GREY, DASH_DOT, "*"),
    "marginal_annealed": Appearance(ORANGE, LONG, "h"),
    "em_learned": Appearance(VERMILION, SOLID, "o"),
    "em_eq10": Appearance(ORANGE, DASH_DOT, "D"),
    "em_uniform": Appearance(BLUE, DASHED, "s"),
    "em_none": Appearance(BLACK, DOTTED, "X"),
    "planning_0": Appearance(BLACK, DOTTED, "X"),
    "planning_01": Appearance(SKY, DASH_DOT, "D"),
    "planning_1": Appearance(VERMILION, SOLID, "o"),
    "planning_10": Appearance(BLUE, DASHED, "s"),
    "planning_beliefs_1": Appearance(ORANGE, LONG, "P"),
    "planning_beliefs_10": Appearance(PURPLE, DASHED, "v"),
    "state_filter": Appearance(BLACK, DOTTED, "X"),
    "state_planned": Appearance(VERMILION, SOLID, "o"),
    "state_told": Appearance(BLUE, DASHED, "s"),
}
# For algorithms that came later: the name decides, so that a figure's other algorithms do not.
SPARE = [
    Appearance(colour, dash, marker)
    for dash, marker in [(SOLID, "<"), (DASHED, ">"), (DASH_DOT, "8"), (LONG, "H"), (DOTTED, "p")]
    for colour in (ORANGE, GREEN, PURPLE, BLUE, SKY, BLACK)
]


def appearances(algorithms: Iterable[str]) -> dict[str, Appearance]:
    """Each algorithm's look. Two names that fall on one spare look are told apart, in order of the alphabet."""
    chosen = {name: APPEARANCES[name] for name in algorithms if name in APPEARANCES}
    for name in sorted(set(algorithms) - set(chosen)):
        start = crc32(name.encode()) % len(SPARE)
        turned = SPARE[start:] + SPARE[:start]
        chosen[name] = next((look for look in turned if look not in chosen.values()), SPARE[start])
    return chosen


VERDICT_COLOURS = {
    "supported": "#00754F",
    "contradicted": "#B34700",
    "inconclusive": GREY,
    "not tested at this budget": GREY,
    "agrees": "#00754F",
    "differs": "#B34700",
    "undecided": GREY,
    "not trained": GREY,
}

PRINT: dict[Any, Any] = {
    # A serif that matplotlib brings along, so that every machine draws the same letters, and papers' body text fits.
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#555555",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 4.0,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "relatent",
    "path.simplify": True,
}


@contextmanager
def print_style() -> Iterator[None]:
    """Defaults of matplotlib, not of the user's own matplotlibrc, with ours on top."""
    with matplotlib.rc_context():  # figures are saved without pyplot, so that no backend is ever asked for
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(PRINT)
        yield


def rendered(figure: Figure, title: str) -> dict[str, bytes]:
    """The figure as PDF and SVG, without date, so that drawing again gives the same bytes."""
    files = {}
    for kind, metadata in {
        "pdf": {"Title": title, "Creator": "relatent", "CreationDate": None},
        "svg": {"Title": title, "Creator": "relatent", "Date": None},
    }.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        files[kind] = buffer.getvalue()
    return files
