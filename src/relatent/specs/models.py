"""What a paper's file and the budgets' file may say. The JSON schemas are generated from here."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from relatent.specs.closed import Closed, Name, Names, NonNegative, Positive, Seeds, TaskName, TaskNames
from relatent.specs.figure import Figure

Origin = Literal["paper", "ours"]
Hyper = Annotated[dict[Name, Any], WithJsonSchema({"$comment": "Hyper"})]  # filled in by relatent.specs.schema


class Source(Closed):
    """Where the paper and its code are."""

    arxiv: str
    code: str | None = None


class Training(Closed):
    """All counts are environment frames, except episodes."""

    frames: Positive
    """Length of a run."""
    random_frames: NonNegative
    """Frames of uniformly random actions at the start."""
    eval_every: Positive
    """Frames from one evaluation to the next."""
    eval_episodes: Positive
    """Episodes of one evaluation."""


class TrainingChange(Closed):
    """What one algorithm does otherwise."""

    random_frames: NonNegative | None = None
    eval_every: Positive | None = None
    eval_episodes: Positive | None = None


class Resources(Closed):
    """What one run needs; never decides its result."""

    gpu: NonNegative
    cpus: Positive
    mem_mb: Positive
    runtime: Positive
    """Minutes."""


class ResourcesChange(Closed):
    gpu: NonNegative | None = None
    cpus: Positive | None = None
    mem_mb: Positive | None = None
    runtime: Positive | None = None


class Noise(Closed):
    """Disturbed pixels."""

    kind: Literal["gaussian", "missing"]
    level: Annotated[float, Field(gt=0)]
    """Standard deviation of pixels in [0, 1], or the probability that a value is missing."""


class DMC(Closed):
    """A DeepMind Control task."""

    suite: Literal["dmc"]
    action_repeat: Positive
    """Frames for which one action is held."""
    pixels: Positive | None = None
    """Width and height of the images that replace states."""
    noise: Noise | None = None


class Bandit(Closed):
    """A one-step problem whose reward is the log-density of four Gaussians at (±spacing, ±spacing)."""

    suite: Literal["bandit"]
    spacing: Annotated[float, Field(gt=0)]
    std: Annotated[float, Field(gt=0)]


class ClosedForm(Closed):
    """A latent policy whose entropies are known: s ~ N(0, I), a = s + σ ε."""

    suite: Literal["closed_form"]


Env = Annotated[DMC | Bandit | ClosedForm, Field(discriminator="suite")]
SUITE_TASKS = {"bandit": ("four_modes",), "closed_form": ("linear_gaussian",)}


class Vary(Closed):
    """A key of the environment and its named values; every task of a set is crossed with them."""

    noise: dict[Name, Noise] | None = None


class Tasks(Closed):
    """A set of tasks, each in the same environment."""

    env: Name
    names: TaskNames
    origin: Origin = "paper"
    """`ours` where the paper does not say which tasks its figure shows."""
    note: str | None = None
    """What exactly is ours; printed with the figure."""
    vary: Vary = Vary()

    @model_validator(mode="after")
    def _ours_is_explained(self) -> "Tasks":
        _explain(self.origin, self.note)
        return self


class Algorithm(Closed):
    """An agent or study with its values. `like` starts from another entry."""

    agent: Name | None = None
    """Module of relatent.agents."""
    study: Name | None = None
    """Module of relatent.studies: a result without an environment loop."""
    like: Name | None = None
    """The entry to start from; what is given here replaces its values."""
    label: str | None = None
    """Its name in figures."""
    use: Names | None = None
    """Shared groups of hyperparameters, merged in this order before `hyper`."""
    hyper: Hyper = Field(default_factory=dict)
    tuned: dict[TaskName, Hyper] = Field(default_factory=dict)
    """Hyperparameters by task."""
    fixed: Names | None = None
    """Hyperparameters that this entry is about: no budget replaces them."""
    training: TrainingChange = TrainingChange()
    resources: ResourcesChange = ResourcesChange()
    planned: bool = False
    """The agent is not written yet: its jobs are listed, training them is refused."""
    origin: Origin = "paper"
    """`ours` where a value is not the paper's."""
    note: str | None = None
    """What exactly is ours; printed with the figure."""

    @model_validator(mode="after")
    def _one_base(self) -> "Algorithm":
        given = [key for key in ("agent", "study", "like") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of agent, study and like, got {', '.join(given) or 'none'}")
        if self.planned and (self.hyper or self.use or self.tuned):
            raise ValueError("planned, so it can have no hyperparameters yet")
        _explain(self.origin, self.note)
        return self


class Paper(Closed):
    """Everything that a paper's figures are made from."""

    paper: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    """Its short name, in targets and folders."""
    title: str
    source: Source
    training: Training
    seeds: Seeds
    resources: Resources
    envs: dict[Name, Env]
    tasks: dict[TaskName, Tasks]
    shared: dict[Name, Hyper] = Field(default_factory=dict)
    algorithms: dict[Name, Algorithm]
    figures: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")], Figure]


class Budget(Closed):
    """What a budget replaces; what it does not name is the paper's."""

    frames: Positive | None = None
    seeds: Positive | None = None
    """The first so many of the paper's seeds."""
    study_seeds: Positive | None = None
    """The same for studies."""
    evaluations: Positive | None = None
    """Number of evaluations during training, evenly spaced."""
    eval_episodes: Positive | None = None
    random_share: Annotated[float, Field(gt=0, le=0.1)] = 0.1
    """Random frames are cut to this share of all frames when `frames` is replaced."""
    hyper: dict[Name, Hyper] = Field(default_factory=dict)
    """Hyperparameters by agent or study."""
    tasks: dict[Name, dict[TaskName, TaskNames]] = Field(default_factory=dict)
    """Task names by paper and task set."""


class Budgets(Closed):
    """All budgets, from the smallest to the paper's own."""

    budgets: dict[Name, Budget]


def _explain(origin: Origin, note: str | None) -> None:
    if (origin == "ours") != (note is not None):
        raise ValueError("`origin: ours` and a `note` that says what is ours go together")
