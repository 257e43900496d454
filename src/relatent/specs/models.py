"""What a paper's file and the budgets' file may say. The JSON schemas are generated from here."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from relatent.specs.closed import Closed, Name, Names, NonNegative, Positive, Seeds, TaskName, TaskNames
from relatent.specs.figure import Figure
from relatent.specs.suites import Env, Noise

Origin = Literal["paper", "ours"]
Hyper = Annotated[dict[Name, Any], WithJsonSchema({"$comment": "Hyper"})]  # filled in by relatent.specs.schema


class Source(Closed):
    """Where the paper and its code are."""

    arxiv: str | None = None
    venue: str | None = None
    """Of a paper that is not on arXiv."""
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
    parallel_envs: Positive | None = None
    """Environments that take their steps in turn before updates come; one where it is not given."""


class TrainingChange(Closed):
    """What one algorithm does otherwise."""

    random_frames: NonNegative | None = None
    eval_every: Positive | None = None
    eval_episodes: Positive | None = None
    parallel_envs: Positive | None = None


class TaskTraining(Closed):
    """What a set of tasks is trained with otherwise."""

    frames: Positive | None = None
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


class Vary(Closed):
    """A key of the environment and its named values; every task of a set is crossed with them."""

    noise: dict[Name, Noise] | None = None


class Tasks(Closed):
    """A set of tasks, each in the same environment, or a set of such sets."""

    env: Name | None = None
    names: TaskNames | None = None
    sets: Names | None = None
    """Other sets, whose tasks are shown together; each is trained as it says itself."""
    origin: Origin = "paper"
    """`ours` where the paper does not say which tasks its figure shows."""
    note: str | None = None
    """What exactly is ours; printed with the figure."""
    vary: Vary = Vary()
    training: TaskTraining = TaskTraining()
    seeds: Positive | None = None
    """The first so many of the paper's seeds."""

    @model_validator(mode="after")
    def _either(self) -> "Tasks":
        alone = self.env is not None and self.names is not None
        if alone == (self.sets is not None) or (self.env is None) != (self.names is None):
            raise ValueError("expected either env with names or sets")
        if self.sets and (self.vary != Vary() or self.training != TaskTraining() or self.seeds):
            raise ValueError("a set of sets has neither vary nor training nor seeds: give them where the tasks are")
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
    octaves: NonNegative | None = None
    """Replaces the environment's, for entries that are about what is observed."""
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
    x_label: str = "environment frames"
    """What its frames are, on the axes of its figures."""
    envs: dict[Name, Env]
    tasks: dict[TaskName, Tasks]
    shared: dict[Name, Hyper] = Field(default_factory=dict)
    algorithms: dict[Name, Algorithm]
    figures: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")], Figure]


class Budget(Closed):
    """What a budget replaces; what it does not name is the paper's."""

    frames: Positive | None = None
    """Longest run; shorter ones stay as they are."""
    lengths: dict[Name, dict[TaskName, Positive]] = Field(default_factory=dict)
    """Longest run by paper and task set, instead of `frames`."""
    seeds: Positive | None = None
    """The first so many of the paper's seeds."""
    seeds_of: dict[Name, Positive] = Field(default_factory=dict)
    """The same by paper, instead of `seeds`."""
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
    """Task names by paper and task set; of a set of sets the names of those that stay."""
    gpu: NonNegative | None = None
    """GPUs of a run, whatever its paper's file asks for."""


class Budgets(Closed):
    """All budgets, from the smallest to the paper's own."""

    budgets: dict[Name, Budget]


def _explain(origin: Origin, note: str | None) -> None:
    if (origin == "ours") != (note is not None):
        raise ValueError("`origin: ours` and a `note` that says what is ours go together")
