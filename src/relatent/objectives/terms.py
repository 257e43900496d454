"""One objective, term by term, of which every method of this project is a weighted sum (Marino & Yue 2019).

    L  =  E_{p_e, q} Σ_t [  T1  log p(O_t = 1 | r_t) = r_t                                                # Eq 3
                          + T2  log p_a(a_t | a_<t, z_≤t, x_≤t) - log q(a_t | .., O_>t)                   # Eq 6
                          + T3  log p_a(z_t | ..) - log q(z_t | .., O_>t)                                 # Eq 6, 8
                          + T4  log p_a(x_t, r_t | z_≤t, ..)                                              # Eq 8
                          - T5  log p_a(x_t, r_t | z_<t, ..)  ]                                           # Eq 8
       with, where the future is not waited for but imagined,
                            T6  E_{p_a} Σ_τ [r_τ + T4 - T5]                                               # Eq 10
       and, where an action has causes that its law is a mixture over,
                            T7  log E_{z~q} q(a | z)                  in T2's place, by several samples   # SMAC Eq 11
                            T8  log p_φ(z | s, a) - log π(z)          in T2's addition, by a guess of z   # RPG Eq 2

A discriminative agent (Eq 6) has an encoder p_a(z_t | z_<t, x_t) in T3 and neither T4 nor T5; a generative one (Eq 8)
has dynamics p_a(z_t | z_<t, a_<t) in T3. Both are the same number at every sample, because T4 - T5 is Bayes' rule.

A term is a function of log densities along sampled trajectories. How it is used says which groups of parameters its
gradient may reach: the densities are computed with the parameters of all other groups detached, once for all terms that
reach the same ones, so that what is declared is what happens. In nats.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from relatent.specs.errors import RelatentError

Densities = Callable[[frozenset[str]], Mapping[str, Tensor]]
"""Log densities at fixed samples by name, each (..., time), from the groups whose parameters keep their gradient."""

Parameters = dict[str, Tensor]
"""Tensors by the name of their group."""


def gated(parameters: Parameters, reaches: frozenset[str]) -> Parameters:
    """The same numbers; only the groups named keep their gradient."""
    return {name: value if name in reaches else value.detach() for name, value in parameters.items()}


QUANTITIES = {
    "reward": "r_t, at most 0",
    "action": "log q(a_t | ..)",
    "action_prior": "log p_a(a_t | ..)",
    "latent": "log q(z_t | ..)",
    "latent_dynamics": "log p_a(z_t | z_<t, a_<t)",
    "latent_encoder": "log p_a(z_t | z_<t, a_<t, x_≤t)",
    "observation": "log p_a(x_t | z_≤t)",
    "observation_marginal": "log p_a(x_t | z_<t, a_<t)",
    "imagined": "Σ_τ of what planning expects",
    "action_given_latents": "log q(a_t | z^k), (.., time, K + 1)",
    "latent_guess": "log p_φ(z | s, a)",
    "skill": "log π(z | s_1), at the first step",
}
"""What terms take."""


@dataclass(frozen=True)
class Term:
    """One of T1 to T8."""

    key: str
    title: str
    takes: tuple[str, ...]
    """Names in `QUANTITIES`."""
    value: Callable[..., Tensor]
    """Of what it takes, in that order: the term at every sample and step."""


def ratio(prior: Tensor, posterior: Tensor) -> Tensor:
    """log p - log q, whose mean under q is minus a divergence."""
    return prior - posterior


def itself(density: Tensor) -> Tensor:
    return density


def marginalised(action_prior: Tensor, given_latents: Tensor) -> Tensor:
    """log p_a(a) - log (1/(K+1)) Σ_k q(a|z^k), z^0 being the latent that made the action. # SMAC Eq 11"""
    return action_prior - (given_latents.logsumexp(-1) - math.log(given_latents.shape[-1]))


OPTIMALITY = Term("T1", "optimality", ("reward",), itself)
ACTION = Term("T2", "action", ("action_prior", "action"), ratio)
LATENT_DYNAMICS = Term("T3", "latent, against dynamics", ("latent_dynamics", "latent"), ratio)
LATENT_ENCODER = Term("T3", "latent, against encoder", ("latent_encoder", "latent"), ratio)
LIKELIHOOD = Term("T4", "likelihood", ("observation",), itself)
MARGINAL = Term("T5", "marginal", ("observation_marginal",), torch.neg)
IMAGINED = Term("T6", "imagined future", ("imagined",), itself)
MARGINAL_ACTION = Term("T7", "action, latents summed out", ("action_prior", "action_given_latents"), marginalised)
AUXILIARY = Term("T8", "guess of the latent", ("latent_guess", "skill"), ratio)


@dataclass(frozen=True)
class Weight:
    """A coefficient that grows by a factor each episode up to a limit; constant as it is."""

    start: float = 1.0
    growth: float = 1.0
    limit: float = 1.0

    def at(self, episode: int) -> float:
        """After so many episodes."""
        return min(self.start * self.growth**episode, self.limit)


ONE = Weight()


@dataclass(frozen=True)
class Use:
    """A term as a method has it."""

    term: Term
    reaches: frozenset[str] = frozenset()
    """The groups of parameters that its gradient reaches."""
    weight: Weight = ONE
    says: str = ""
    """In the method's own symbols."""


@dataclass(frozen=True)
class Objective:
    """A method as a sum of terms."""

    name: str
    uses: tuple[Use, ...]

    def __post_init__(self) -> None:
        keys = [use.term.key for use in self.uses]
        if len(keys) > len(set(keys)):
            raise RelatentError(f"{self.name}: a term is there twice, expected each of {', '.join(keys)} once")

    def __contains__(self, term: Term) -> bool:
        return any(use.term == term for use in self.uses)

    def terms(self, densities: Densities, episode: int = 0) -> dict[str, Tensor]:
        """Every term, weighed, (..., time); gradients reach the declared groups only.

        Raises RelatentError where a density that a term takes is not given.
        """
        found: dict[str, Tensor] = {}
        by_groups: dict[frozenset[str], Mapping[str, Tensor]] = {}
        for use in self.uses:
            if use.reaches not in by_groups:
                by_groups[use.reaches] = densities(use.reaches)
            given = by_groups[use.reaches]
            lacking = [name for name in use.term.takes if name not in given]
            if lacking:
                raise RelatentError(f"{self.name}: {use.term.key} takes {lacking[0]}, which is not among the densities")
            found[use.term.key] = use.weight.at(episode) * use.term.value(*(given[name] for name in use.term.takes))
        return found

    def value(self, densities: Densities, episode: int = 0) -> Tensor:
        """The sum over terms and time, (...)."""
        return torch.stack(list(self.terms(densities, episode).values())).sum(0).sum(-1)


def sum_of(name: str, terms: tuple[Term, ...], reaches: frozenset[str]) -> Objective:
    """Terms of weight one whose gradients all reach the same groups."""
    return Objective(name, tuple(Use(term, reaches) for term in terms))


def discriminative(groups: frozenset[str]) -> Objective:
    """A discriminative agent. # Eq 6"""
    return sum_of("discriminative", (OPTIMALITY, ACTION, LATENT_ENCODER), groups)


def generative(groups: frozenset[str]) -> Objective:
    """A generative agent. # Eq 8"""
    return sum_of("generative", (OPTIMALITY, ACTION, LATENT_DYNAMICS, LIKELIHOOD, MARGINAL), groups)


def conventional(groups: frozenset[str]) -> Objective:
    """What model-based agents with latent variables usually maximise: Eq 8 without the marginal. # Sec 4"""
    return sum_of("conventional", (OPTIMALITY, ACTION, LATENT_DYNAMICS, LIKELIHOOD), groups)
