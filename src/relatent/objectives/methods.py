"""Every method of this project as a row of the same objective: which of T1 to T8 it has, and what each one trains.

What a term reaches are attributes of the method's agent in relatent.agents, and a test takes the gradient of every
term in the agent's own losses and finds the same. A method whose agent is not written says what its paper says.
`relatent terms` prints the table.
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
    OPTIMALITY,
    Objective,
    Term,
    Use,
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
    agent: str | None
    """In relatent.agents; None: not written here yet."""
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
                return f"{use.says} -> {', '.join(sorted(use.reaches))}"
        return f"no: {self.absent[key]}" if key in self.absent else "no"


def use(term: Term, says: str, *reaches: str) -> Use:
    return Use(term, frozenset(reaches), says=says)


GENERAL = Method(
    "general, Eq 8 and 10",
    None,
    "exp Σ r",
    "belief of the state, each step",
    Objective(
        "general",
        (
            use(OPTIMALITY, "r ≤ 0", "inference", "policy"),
            use(ACTION, "against a learned p_a(a)", "inference", "policy", "prior"),
            use(LATENT_DYNAMICS, "q(z|.., O) against dynamics", "inference", "model"),
            use(LIKELIHOOD, "observations and rewards", "inference", "model"),
            use(MARGINAL, "observations and rewards", "inference", "model"),
            use(IMAGINED, "under p_a, with T4 - T5", "inference", "policy"),
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
    None,
    "exp Σ r/alpha",
    "belief of the state, each step",
    Objective(
        "SLAC",
        (
            use(OPTIMALITY, "Q of z", "policy"),
            use(ACTION, "p_a uniform, the policy sees x and a only", "policy"),
            use(LATENT_DYNAMICS, "q(z'|x', z, a) against p(z'|z, a)", "model", "inference"),
            use(LIKELIHOOD, "pixels and rewards", "model", "inference"),
        ),
    ),
    {"T5": "dropped, which makes it the likelihood of observations and optimality", "T6": "a critic of z"},
)
SMAC = Method(
    "SMAC",
    "smac",
    "exp Σ r/alpha",
    "belief of the state, or noise of the policy alone",
    Objective(
        "SMAC",
        (
            use(OPTIMALITY, "Q of x, or averaged over z", "inference", "policy"),
            use(MARGINAL_ACTION, "p_a uniform: -alpha log of a mean over K + 1 samples of z", "inference", "policy"),
        ),
    ),
    {
        "T2": "T7 in its place",
        "T3": "none without a world model; with one SLAC's, trained apart",
        "T4": "none without a world model; with one SLAC's, trained apart",
        "T5": "dropped",
        "T6": "a critic",
    },
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
METHODS = (GENERAL, MAXENT, SLAC, SMAC, ALM, RPG)


def table() -> list[list[str]]:
    """A heading, then a row for each method, of its name, p(O), z and T1 to T8."""
    heading = ["method", "p(O)", "z", *(f"{key} {what}" for key, what in TERMS.items())]
    return [heading, *([one.name, one.success, one.latent, *map(one.says, TERMS)] for one in METHODS)]


def markdown() -> str:
    """The table turned, so that a row is a term and a column a method, as docs/inference.md has it."""
    turned = [list(row) for row in zip(*table(), strict=True)]
    lines = [turned[0], ["---"] * len(turned[0]), *turned[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
