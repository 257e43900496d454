"""Every method of this project as a row of the same objective: which of T1 to T8 it has, and what each one trains.

What a term reaches are attributes of the method's agent in relatent.agents, and a test takes the gradient of every
term in the agent's own losses and finds the same. A term that reaches nothing is in no loss, but in what the agent's
actions are planned by. Variational EM declares its objective itself; a test finds the same here for every setting of
its hyperparameters. `relatent terms` prints the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from relatent.objectives.terms import (
    ACTION,
    AUXILIARY,
    IMAGINED,
    LATENT_DYNAMICS,
    LATENT_ENCODER,
    LIKELIHOOD,
    MARGINAL,
    MARGINAL_ACTION,
    ONE,
    OPTIMALITY,
    Objective,
    Term,
    Use,
    Weight,
)

TERMS = {
    "T1": "reward, log p(O|r)",
    "T2": "action, log p_a(a) - log q(a)",
    "T3": "latent, log p_a(z) - log q(z)",
    "T4": "likelihood, log p_a(x|z)",
    "T5": "marginal, -log p_a(x|z_<)",
    "T6": "imagined future",
    "T7": "action's latents summed out",
    "T8": "guess of the action's latent",
}


@dataclass(frozen=True)
class Method:
    """A row of the table."""

    name: str
    agent: str
    """In relatent.agents."""
    success: str
    """p(O | trajectory)."""
    latent: str
    """What z is."""
    objective: Objective
    absent: Mapping[str, str]
    """Why a term is not there, or what stands in its place."""

    def says(self, key: str) -> str:
        """The method's form of a term, and what it trains; or why there is none."""
        for use in self.objective.uses:
            if use.term.key == key:
                return f"{use.says}{scheduled(use.weight)} -> {', '.join(sorted(use.reaches)) or 'no parameters'}"
        return f"no: {self.absent[key]}" if key in self.absent else "no"


def scheduled(weight: Weight) -> str:
    """Of a coefficient that grows; nothing of one that is 1."""
    if weight == ONE:
        return ""
    return f", weight {weight.start:g}, times {weight.growth:g} an episode, at most {weight.limit:g}"


def use(term: Term, says: str, *reaches: str, weight: Weight = ONE) -> Use:
    return Use(term, frozenset(reaches), weight, says)


GENERAL = Method(
    "general, Eq 8 and 10 (variational EM)",
    "variational_em",
    "exp Σ scale (r - best r)",
    "belief of the state, each step",
    Objective(
        "general",
        (
            use(OPTIMALITY, "r ≤ 0, climbed by plans"),
            use(ACTION, "against a learned p_a(a), or a uniform one, or left out; climbed by plans", "habit"),
            use(LATENT_DYNAMICS, "q(z|.., x) against dynamics", "world"),
            use(LIKELIHOOD, "observations and rewards", "world"),
            use(
                MARGINAL,
                "observations, or left out, or without gradient",
                "world",
                weight=Weight(0.01, 1.01, 1.0),
            ),
            use(IMAGINED, "under p_a, with T4 - T5 of observations at a weight that may be 0, climbed by plans"),
        ),
    ),
    {},
)
MAXENT = Method(
    "MaxEnt RL (SAC)",
    "sac",
    "exp Σ r/alpha",
    "none",
    Objective(
        "MaxEnt RL",
        (use(OPTIMALITY, "Q", "actor"), use(ACTION, "p_a uniform: -alpha log π(a|x)", "actor")),
    ),
    {"T3": "no z", "T6": "a critic"},
)
SLAC = Method(
    "SLAC",
    "slac",
    "exp Σ r/alpha",
    "belief of the state, each step",
    Objective(
        "SLAC",
        (
            use(OPTIMALITY, "Q of z", "actor"),
            use(ACTION, "p_a uniform: -alpha log π(a|x, a_<), the policy sees no z", "actor"),
            use(LATENT_DYNAMICS, "q(z'|x', z, a) against p(z'|z, a)", "model"),
            use(LIKELIHOOD, "pixels and rewards", "model"),
        ),
    ),
    {"T5": "dropped, which makes it the likelihood of observations and optimality", "T6": "a critic of z"},
)
SMAC = Method(
    "SMAC",
    "smac",
    "exp Σ r/alpha",
    "noise of the policy alone",
    Objective(
        "SMAC",
        (
            use(OPTIMALITY, "Q of x", "inference", "policy"),
            use(MARGINAL_ACTION, "p_a uniform: -alpha log of a mean over K + 1 samples of z", "inference", "policy"),
        ),
    ),
    {
        "T2": "T7 in its place",
        "T3": "no world model",
        "T4": "no world model",
        "T6": "a critic",
    },
)
SMAC_WORLD = Method(
    "SMAC with a world model",
    "smac_world",
    "exp Σ r/alpha",
    "belief of the state, each step",
    Objective(
        "SMAC with a world model",
        (
            use(OPTIMALITY, "log of the mean of exp Q over K + 1 samples of z", "actor"),
            use(LATENT_DYNAMICS, "q(z'|x', z, a) against p(z'|z, a), beyond free nats", "world"),
            use(LIKELIHOOD, "pixels and rewards", "world"),
            use(MARGINAL_ACTION, "p_a uniform: -alpha log of a mean over K + 1 samples of z", "actor"),
        ),
    ),
    {"T2": "T7 in its place", "T5": "dropped", "T6": "a critic of z"},
)
ALM = Method(
    "ALM",
    "alm",
    "E[Ψ], r > 0, of a geometric length",
    "code of the state, each step",
    Objective(
        "ALM",
        (
            use(OPTIMALITY, "r without its logarithm", "encoder", "model", "actor"),
            use(
                LATENT_ENCODER,
                "q = m(z'|z, a) against p_a = e(z'|x'); for the policy by a classifier",
                "encoder",
                "model",
                "actor",
            ),
            use(IMAGINED, "K steps of m and a critic", "encoder", "model", "actor"),
        ),
    ),
    {
        "T2": "cancels, one policy in p and q",
        "T4": "not needed, the agent is discriminative",
        "T5": "not needed, the agent is discriminative",
    },
)
RPG = Method(
    "RPG",
    "rpg",
    "exp(R/alpha)",
    "a way to solve the task, each episode; the world model's state is apart, and certain",
    Objective(
        "RPG",
        (
            use(OPTIMALITY, "of imagined steps", "policy"),
            use(ACTION, "p_a uniform: -alpha log π(a|s, z)", "policy"),
            use(IMAGINED, "K steps of the world model and a critic", "policy"),
            use(AUXILIARY, "β log p_φ(z|s, a)", "policy", "latent"),
        ),
    ),
    {"T3": "squared errors of predicted states", "T4": "squared errors of predicted states", "T5": "not needed"},
)
METHODS = (GENERAL, MAXENT, SLAC, SMAC, SMAC_WORLD, ALM, RPG)


def table() -> list[list[str]]:
    """A heading, then a row for each method, of its name, p(O), z and T1 to T8."""
    heading = ["method", "p(O)", "z", *(f"{key} {what}" for key, what in TERMS.items())]
    return [heading, *([one.name, one.success, one.latent, *map(one.says, TERMS)] for one in METHODS)]


def markdown() -> str:
    """The table turned, so that a row is a term and a column a method, as docs/inference.md has it."""
    turned = [list(row) for row in zip(*table(), strict=True)]
    lines = [turned[0], ["---"] * len(turned[0]), *turned[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
