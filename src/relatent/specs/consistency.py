"""Names that must exist elsewhere: what one model alone cannot see. Each mistake is one line with its path."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from relatent.specs.canonical import canonical
from relatent.specs.errors import unknown
from relatent.specs.expand import hyper, parts, resolve, tasks, training
from relatent.specs.figure import Figure
from relatent.specs.hyper import Field, hyper_fields, module_path, modules
from relatent.specs.loading import Document
from relatent.specs.models import Budget, Paper
from relatent.specs.suites import SUITE_TASKS

PAPER = "paper"


def check_budgets(root: Path, document: Document, budgets: dict[str, Budget], papers: dict[str, Paper]) -> None:
    """Agents, studies, papers and task sets that budgets name; `paper` comes last and replaces nothing."""
    if list(budgets)[-1:] != [PAPER] or budgets[PAPER] != Budget():
        raise document.error(["budgets"], "expected the last one to be `paper: {}`, which replaces nothing")
    given = given_values(papers)
    for name, budget in budgets.items():
        at = ["budgets", name]
        for module, values in budget.hyper.items():
            _known(document, [*at, "hyper", module], "agent or study", module, modules(root))
            _values(document, [*at, "hyper", module], values, hyper_fields(modules(root)[module]))
            _known_all(document, [*at, "hyper", module], f"value of any algorithm of {module}", values, given[module])
        _known_all(document, [*at, "seeds_of"], "paper", budget.seeds_of, papers)
        for paper, lengths in budget.lengths.items():
            _known(document, [*at, "lengths", paper], "paper", paper, papers)
            _known_all(document, [*at, "lengths", paper], "task set", lengths, papers[paper].tasks)
        for paper, sets in budget.tasks.items():
            _known(document, [*at, "tasks", paper], "paper", paper, papers)
            for task_set, names in sets.items():
                where = [*at, "tasks", paper, task_set]
                _known(document, where, "task set", task_set, papers[paper].tasks)
                entry = papers[paper].tasks[task_set]
                if entry.env is None:
                    _known_all(document, where, f"task set of {task_set}", names, entry.sets or ())
                else:
                    suite = papers[paper].envs[entry.env].suite
                    _known_all(document, where, "task", names, SUITE_TASKS[suite])


def given_values(papers: dict[str, Paper]) -> dict[str, set[str]]:
    """What any paper gives each agent or study. A budget replaces these alone."""
    given: dict[str, set[str]] = defaultdict(set)
    for paper in papers.values():
        for name in paper.algorithms:
            entry = resolve(paper, name)
            shared = (paper.shared[group] for group in entry.use or ())
            given[entry.agent or entry.study or ""].update(*shared, entry.hyper, *entry.tuned.values())
    return given


def check_paper(root: Path, document: Document, paper: Paper) -> None:
    """What a paper's tasks and algorithms name, and its hyperparameters."""
    for name, entry in paper.tasks.items():
        at = ["tasks", name]
        plain = [other for other, of in paper.tasks.items() if of.sets is None]
        _known_all(document, [*at, "sets"], "task set of its own", entry.sets or (), plain)
        if entry.env is None:
            continue
        _known(document, [*at, "env"], "environment", entry.env, paper.envs)
        _known_all(document, [*at, "names"], "task", entry.names or (), SUITE_TASKS[paper.envs[entry.env].suite])
        of_env = type(paper.envs[entry.env]).model_fields
        _known_all(document, [*at, "vary"], "key of its environment", entry.vary.model_dump(exclude_none=True), of_env)
    for name in paper.algorithms:
        _check_algorithm(root, document, paper, name)


def check_figures(root: Path, document: Document, paper: Paper, budgets: dict[str, Budget]) -> None:
    """What a paper's figures name, and that their algorithms differ at every budget."""
    for name, figure in paper.figures.items():
        _check_figure(root, document, paper, name, figure, budgets)


def _check_algorithm(root: Path, document: Document, paper: Paper, name: str) -> None:
    at, entry = ["algorithms", name], paper.algorithms[name]
    seen = [name]
    while (base := paper.algorithms[seen[-1]].like) is not None:
        _known(document, ["algorithms", seen[-1], "like"], "algorithm", base, paper.algorithms)
        if base in seen:
            raise document.error([*at, "like"], f"goes round in a circle: {' -> '.join([*seen, base])}")
        seen.append(base)
    _known_all(document, [*at, "use"], "group of hyperparameters", entry.use or (), paper.shared)
    whole = resolve(paper, name)
    module = whole.agent or whole.study or ""
    package, what = ("agents", "agent") if whole.agent else ("studies", "study")
    exists = module_path(root, package, module).is_file()
    if whole.planned:
        if exists:
            raise document.error([*at, "planned"], f"{what} {module!r} is written: give its hyperparameters instead")
        return
    if not exists:
        known = [name for name, path in modules(root).items() if path.parent.name == package]
        raise document.error([*at, what], unknown(what, module, known))
    fields = hyper_fields(module_path(root, package, module))
    for group in entry.use or ():
        _values(document, ["shared", group], paper.shared[group], fields, f"({what} {module}, used by {name})")
    _values(document, [*at, "hyper"], entry.hyper, fields)
    for task, values in entry.tuned.items():
        _values(document, [*at, "tuned", task], values, fields)
    _known_all(document, [*at, "fixed"], "hyperparameter", entry.fixed or (), fields)
    given = hyper(paper, Budget(), whole, "", next(iter(paper.tasks)))
    lacking = [field.name for field in fields.values() if field.required and field.name not in given]
    if lacking:
        raise document.error(at, f"hyperparameters of {what} {module} without a value: {', '.join(lacking)}")


def _check_figure(
    root: Path, document: Document, paper: Paper, name: str, figure: Figure, budgets: dict[str, Budget]
) -> None:
    at, data = ["figures", name], figure.data
    _known_all(document, [*at, "data", "algorithms"], "algorithm", data.algorithms, paper.algorithms)
    _known(document, [*at, "data", "tasks"], "task set", data.tasks, paper.tasks)
    _known_all(document, [*at, "labels"], "algorithm of this figure", figure.labels, data.algorithms)
    if figure.reference and not (root / figure.reference.file).is_file():
        raise document.error([*at, "reference", "file"], f"no file {figure.reference.file}")
    if figure.kind == "pictures" and "pictures" not in (data.probes or ()):
        raise document.error([*at, "data"], "expected pictures among the probes, as the figure's kind shows them")
    _check_panels(document, [*at, "panels"], paper, figure)
    order = list(budgets)
    for number, claim in enumerate(figure.claims):
        where = [*at, "claims", number]
        _known(document, [*where, "from"], "budget", claim.from_, budgets)
        _known_all(document, [*where, "test"], "algorithm of this figure", claim.algorithms(), data.algorithms)
        larger = order[order.index(claim.from_) :]
        names = {task.name for budget in larger for task in tasks(paper, budgets[budget], data.tasks)}
        what = f"task of this figure from budget {claim.from_} on"
        _known_all(document, [*where, "test", "tasks"], what, claim.test.tasks or (), names)
    for budget in order:
        _check_rounds(document, paper, figure, budget, budgets[budget])
        _check_distinct(document, [*at, "data", "algorithms"], paper, figure, budget, budgets[budget])


def _check_panels(document: Document, at: list[str], paper: Paper, figure: Figure) -> None:
    """A figure of panels has some, with titles of their own, and what they name is the figure's."""
    if (figure.kind == "panels") != bool(figure.panels):
        raise document.error(at, f"expected at least one for the kind panels and none for others, got {figure.kind}")
    names = {task.name for task in tasks(paper, Budget(), figure.data.tasks)}
    titles = [panel.title for panel in figure.panels]
    for number, panel in enumerate(figure.panels):
        where: list[str | int] = [*at, number]
        if titles.index(panel.title) < number:
            raise document.error([*where, "title"], f"{panel.title!r} is another panel's title")
        algorithms = figure.data.algorithms
        _known_all(document, [*where, "algorithms"], "algorithm of this figure", panel.algorithms or (), algorithms)
        _known_all(document, [*where, "task"], "task of this figure", (panel.task,) if panel.task else (), names)


def _check_rounds(document: Document, paper: Paper, figure: Figure, name: str, budget: Budget) -> None:
    """Environments that are stepped in turn share a run's frames evenly."""
    for algorithm in figure.data.algorithms:
        entry = resolve(paper, algorithm)
        for part in parts(paper, budget, figure.data.tasks) if entry.agent else ():
            plan = training(paper, budget, entry, part)
            if plan["frames"] % plan.get("parallel_envs", 1):
                shared = f"{plan['frames']} frames of {algorithm} on {part} at budget {name}"
                message = f"{shared} are no multiple of {plan['parallel_envs']} environments"
                raise document.error(["training", "parallel_envs"], message)


def _check_distinct(document: Document, at: list[str], paper: Paper, figure: Figure, name: str, budget: Budget) -> None:
    """Two algorithms of a figure must not be the same runs under two names, which a budget could make them."""
    first = next(tasks(paper, budget, figure.data.tasks)).env["task"]
    part = parts(paper, budget, figure.data.tasks)[0]
    seen: dict[str, str] = {}
    for algorithm in figure.data.algorithms:
        entry = resolve(paper, algorithm)
        plan = training(paper, budget, entry, part) if entry.agent else {}
        text = canonical([entry.agent, entry.study, hyper(paper, budget, entry, first, part), plan, entry.octaves])
        if text in seen:
            same = f"{seen[text]} and {algorithm} are the same at budget {name}"
            remedy = _remedy(paper, budget, first, part, seen[text], algorithm)
            raise document.error(at, f"{same}, {remedy}")
        seen[text] = algorithm


def _remedy(paper: Paper, budget: Budget, task: str, part: str, one: str, other: str) -> str:
    """Why two algorithms are the same at a budget, and what makes them differ there."""
    own = {name: hyper(paper, Budget(), resolve(paper, name), task, part) for name in (one, other)}
    at_budget = hyper(paper, budget, resolve(paper, other), task, part)
    replaced = [key for key, value in own[other].items() if value != own[one].get(key)]
    if not replaced:
        return "with the same hyperparameters there: give one of them another value, or show one of them only"
    values = ", ".join(f"{key} by {at_budget[key]}" for key in replaced)
    # The one that builds on the other is about its values, unless these happen to be the budget's.
    builds = own if paper.algorithms[one].like == other else (other, one)
    about = next(name for name in builds if any(own[name].get(key) != at_budget[key] for key in replaced))
    fixed = ", ".join([*(resolve(paper, about).fixed or ()), *replaced])
    return f"which replaces {values} for both: add `fixed: [{fixed}]` to algorithms.{about}"


def _values(document: Document, at: list[str], values: dict[str, Any], fields: Any, of: str = "") -> None:
    for key, value in values.items():
        if key not in fields:
            message = unknown("hyperparameter", key, fields)
            raise document.error([*at, key], f"{message} {of}".rstrip())
        field: Field = fields[key]
        try:
            field.check_range(field.read(value))
        except ValueError as error:
            raise document.error([*at, key], str(error)) from None


def _known(document: Document, at: list[Any], what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise document.error(at, unknown(what, name, known))


def _known_all(document: Document, at: list[Any], what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for number, name in enumerate(names):
        if name not in known:
            at = [*at, number] if (*at, number) in document.lines else at
            raise document.error(at, unknown(what, name, known))
