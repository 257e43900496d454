"""How a figure is drawn and judged, as a paper's YAML says it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relatent.specs.closed import Closed, Name, Names, TaskName

Kind = Literal[
    "learning_curve",
    "table",
    "entropy_curve",
    "bandit",
    "estimators",
    "multimodal_bandit",
    "gradient_directions",
    "identities",
    "latent_bounds",
    "log_rewards",
    "classifier_odds",
    "maze",
    "summary",
    "wall_clock",
    "bias",
    "open_loop",
    "sweep",
    "provenance_table",
    "panels",
    "pictures",
]
Scale = Literal["linear", "log", "symlog"]
Statistic = Literal["final", "best", "area"]
Phase = Literal["train", "eval"]


class Look(Closed):
    columns: int = 4
    """Panels in a row."""
    width: float = 6.75
    """Inches: 6.75 is a paper's full text width, 3.25 one column."""
    panel_height: float = 1.45
    """Inches, of the axes alone."""
    y_range: Annotated[tuple[float, float] | None, Field(strict=False)] = (0.0, 1000.0)
    """Limits of a return's axis; DeepMind Control's returns lie in [0, 1000]. null: what the data need."""
    band: Literal["student_t_95"] = "student_t_95"
    bold: Literal["best", "none"] = "none"
    """Tables: whether the larger of our means in a row is set in bold."""
    moments: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(strict=False, min_length=1)] = (0.05, 1.0)
    """Mazes: shares of the training at which it is shown where evaluations lead."""
    matched: Name | None = None
    """Wall clocks: the algorithm whose final return all are timed to reach."""
    along: Name | None = None
    """Sweeps: the hyperparameter on the horizontal axis."""


class Judged(Closed):
    measure: str = "return"
    phase: Phase = "eval"
    statistic: Statistic = "final"
    tasks: Annotated[tuple[str, ...] | None, Field(strict=False)] = None
    """The tasks the sentence is about; null: all of the figure's."""
    log10: bool = False
    """Compare orders of magnitude. For quantities that explode."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the tasks on which the sentence must hold. Unused where tasks are pooled."""
    until: int | None = None
    """Curves are read as if they ended at this frame."""


class Better(Judged):
    """The difference of two algorithms' statistics lies on one side of zero."""

    kind: Literal["better"]
    algorithm: Name
    than: Name
    lower: bool = False
    """Whether smaller values of the measure are better."""
    times: Annotated[float, Field(gt=0)] = 1.0
    """What the other's statistic is multiplied by: 2 for twice as much, 0.9 for hardly less."""
    pooled: bool = False
    """One interval for the mean over tasks of the scaled differences, instead of one per task."""
    scale: float | None = None
    """What a difference is divided by before pooling; null: the larger of the two means, task by task."""


class AtMost(Judged):
    kind: Literal["at_most"]
    algorithm: Name
    value: float


class AtLeast(Judged):
    kind: Literal["at_least"]
    algorithm: Name
    value: float


class Within(Judged):
    """Inside the reference's band: from the lowest mean - 2 sd to the highest mean + 2 sd over the sources."""

    kind: Literal["within"]
    algorithm: Name
    frames: int | None = None
    """Which rows of the reference, and where our curve is read; null: at its end."""


class Order(Judged):
    """Rising along a list of algorithms."""

    kind: Literal["order"]
    algorithms: Names


class Steadier(Judged):
    """A smaller variance over seeds."""

    kind: Literal["steadier"]
    algorithm: Name
    than: Name


Test = Annotated[Better | AtMost | AtLeast | Within | Order | Steadier, Field(discriminator="kind")]


class Claim(Closed):
    id: Name
    says: str
    """The paper's sentence, quoted."""
    where: str
    """Where the sentence stands, such as Sec. 5.1."""
    from_: str = Field(alias="from")
    """The smallest budget at which it may be judged."""
    test: Test

    def algorithms(self) -> set[str]:
        """Every algorithm that the test names."""
        test = self.test
        named = test.algorithms if isinstance(test, Order) else (test.algorithm, getattr(test, "than", test.algorithm))
        return set(named)


class Reference(Closed):
    """Other people's numbers, drawn beside ours."""

    file: str
    """CSV with columns task, algorithm, mean, std, seeds, source (and frames), from the repository's root."""
    curves: bool = False
    """Whether its rows are points of digitised curves: task, algorithm, frames, mean and source. They are drawn behind
    ours and compared with nothing, because a picture does not say how much the seeds differed."""
    released: bool = False
    """Of curves: whether they are released numbers with std and seeds, not read off a picture; claims may use them."""
    source: str | None = None
    """Only the rows of this source."""
    note: str = ""
    """What a reader must know of the numbers; printed with the figure."""
    statistic: Statistic = "final"
    frames: int | None = None
    """Only the rows of so many frames."""
    ours_at: int | None = None
    """Frames of our evaluation that those are compared with, where ours has no such number of frames."""
    margin: float = 0.1
    """Two means agree when the difference's interval lies within this share of the reference's mean."""

    @model_validator(mode="after")
    def _of_some_frames(self) -> "Reference":
        if self.ours_at is not None and self.frames is None:
            raise ValueError("ours_at is compared with rows of so many frames: give frames")
        return self


class Panel(Closed):
    """One panel of a figure of the kind `panels`."""

    title: str
    y: Annotated[dict[Name, str], Field(min_length=1)]
    """Measures that the runs recorded, with what the panel's legend calls them."""
    y_label: str
    """With its unit."""
    x: str | None = None
    """What lies across: a measure with as many entries; `frames`; `algorithms`; null: the entries' numbers from 0."""
    x_label: str = ""
    """With its unit."""
    algorithms: Names | None = None
    """Null: all of the figure's."""
    task: TaskName | None = None
    """Null: the figure's first."""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    level: float | None = None
    """A value to compare with, drawn across."""


class Data(Closed):
    """Which runs a figure shows."""

    algorithms: Names
    tasks: TaskName
    """The name of a task set."""
    measure: str = "return"
    phase: Phase = "eval"
    """Which episodes count. Measures that come from probes have no phase."""
    probes: Names | None = None
    """What its runs measure beside returns; part of their spec."""


class Figure(Closed):
    kind: Kind
    title: str
    caption: str
    data: Data
    labels: dict[Name, str] = Field(default_factory=dict)
    """Replaces algorithms' labels in this figure."""
    look: Look = Look()
    panels: Annotated[tuple[Panel, ...], Field(strict=False)] = ()
    """Of the kind `panels`, which needs one at least; empty of all others."""
    reference: Reference | None = None
    claims: Annotated[tuple[Claim, ...], Field(strict=False)] = ()
