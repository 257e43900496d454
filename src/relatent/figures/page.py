"""What every figure has around its panels: heading, budget and legend above; below, what is shown, and the verdicts.

Everything is laid out in inches from the top, so that letters and panels keep their size, however many there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from relatent.figures.drawing import Drawing, figure_heading, run_parts, task_title
from relatent.figures.gather import Gathered
from relatent.figures.style import GREY, INK, ORANGE, VERDICT_COLOURS, VERMILION

HEADING, SMALL = 9.5, 7.0
"""Points."""
LINE = 0.128
"""Inches from one small line to the next."""
SIDE, NAMES = 0.06, 0.62
"""Inches: the page's margin, and the column of the notes' names."""


DOTS = 600
"""Dots an inch at which widths of texts are measured."""


WIDEST = 2.2
"""A panel's width over its height; a page with few panels leaves room at both sides."""


@dataclass(frozen=True)
class Note:
    """One entry below the panels."""

    name: str
    text: str
    verdict: str = ""


@dataclass(frozen=True)
class Sheet:
    """A page with room for panels; `place` takes inches from the left and from the top of that room."""

    figure: Figure
    drawing: Drawing
    top: float
    """Inches from the page's top to the room's."""

    def place(self, x: float, y: float, width: float, height: float) -> Axes:
        across, down = self.figure.get_size_inches()
        box = (x / across, (down - self.top - y - height) / down, width / across, height / down)
        panel = self.figure.add_axes(box)
        if not self.drawing.budget.is_paper:
            watermark(panel, self.drawing.budget.name, min(width, height))
        return panel

    def grid(
        self, count: int, columns: int, height: float, gap: tuple[float, float], left: float, top: float
    ) -> list[Axes]:
        """`count` panels in reading order, `height` inches each. `gap`: inches between columns, and between rows."""
        room = (self.drawing.look.width - left - 0.12 - (columns - 1) * gap[0]) / columns
        width = min(room, WIDEST * height)
        left += columns * (room - width) / 2
        cells = (divmod(index, columns) for index in range(count))
        return [self.place(left + c * (width + gap[0]), top + r * (height + gap[1]), width, height) for r, c in cells]


def sheet(
    drawing: Drawing, gathered: Gathered, notes: Sequence[Note], body: float, legend: Sequence[tuple[Any, str]] = ()
) -> Sheet:
    """A page whose room for panels, their titles and their axes' names is `body` inches high."""
    width = drawing.look.width
    notes = [*notes, *diverged_note(drawing, gathered)]
    lines = [(note, wrapped(f"{note.verdict} {note.text}".strip(), width - 2 * SIDE - NAMES)) for note in notes]
    badges, rows = badges_of(drawing, gathered), legend_rows(legend, width)
    title = f"{figure_heading(drawing)}. "
    taken = text_width(title, HEADING, "bold") + text_width(drawing.title, HEADING) + 2 * SIDE + 0.2
    badges_below = bool(badges) and taken + sum(badge_width(text) for text, _, _ in badges) > width
    head = 0.3 + 0.21 * badges_below + (0.04 + 0.18 * len(rows) if rows else 0.0)
    foot = LINE * sum(len(text) for _, text in lines) + 0.12
    figure = Figure(figsize=(width, head + body + foot))
    height = head + body + foot
    heading(figure, drawing, width, height)
    draw_badges(figure, badges, width, height, 0.13 + 0.21 * badges_below)
    draw_legend(figure, rows, height, 0.4 + 0.21 * badges_below)
    footer(figure, lines, width, height, foot - 0.03)
    return Sheet(figure, drawing, head)


def heading(figure: Figure, drawing: Drawing, width: float, height: float) -> None:
    """Paper, figure and title."""
    y, bold = 1 - 0.13 / height, f"{figure_heading(drawing)}."
    start = SIDE + text_width(bold, HEADING, "bold") + 0.07
    figure.text(SIDE / width, y, bold, size=HEADING, weight="bold", va="center", parse_math=False)
    lines = wrapped(drawing.title, width - start - SIDE, HEADING)
    title = lines[0] if len(lines) == 1 else f"{lines[0]} ..."
    figure.text(start / width, y, title, size=HEADING, va="center", parse_math=False)


def badges_of(drawing: Drawing, gathered: Gathered) -> list[tuple[str, str, str]]:
    """What keeps this from being the paper's own figure: text, background, colour."""
    badges = []
    if gathered.partial:
        done, wanted = len(gathered.runs), len(gathered.runs) + len(gathered.missing)
        badges.append((f"PARTIAL: {done} of {wanted} runs", VERMILION, "white"))
    if not drawing.budget.is_paper:
        badges.append((f"{drawing.budget.name.upper()} BUDGET, not the paper's", ORANGE, "black"))
    return badges


def badge_width(text: str) -> float:
    return text_width(text, SMALL, "bold") + 0.14


def draw_badges(
    figure: Figure, badges: list[tuple[str, str, str]], width: float, height: float, from_top: float
) -> None:
    """From the right edge to the left."""
    right = width - SIDE - 0.03
    for text, background, colour in badges:
        box = {"boxstyle": "round,pad=0.25", "facecolor": background, "edgecolor": "none"}
        options: dict[str, Any] = {"size": SMALL, "weight": "bold", "color": colour, "bbox": box}
        figure.text(right / width, 1 - from_top / height, text, ha="right", va="center", parse_math=False, **options)
        right -= badge_width(text)


def watermark(panel: Axes, budget: str, size: float) -> None:
    """So that a panel cut out of its page still says what it is. `size`: the panel's smaller side in inches."""
    options: dict[str, Any] = {"size": 13 * min(size, 1.5), "weight": "bold", "color": "#ECECEC", "zorder": 0}
    panel.text(0.5, 0.5, budget, transform=panel.transAxes, ha="center", va="center", **options)


def legend_rows(legend: Sequence[tuple[Any, str]], width: float) -> list[list[tuple[Any, str]]]:
    """As many entries in a row as fit."""
    rows: list[list[tuple[Any, str]]] = [[]] if legend else []
    used = 0.0
    for handle, label in legend:
        needed = text_width(label, 8.0) + 0.52
        if rows[-1] and used + needed > width - 2 * SIDE:
            rows.append([])
            used = 0.0
        rows[-1].append((handle, label))
        used += needed
    return rows


def draw_legend(figure: Figure, rows: list[list[tuple[Any, str]]], height: float, from_top: float) -> None:
    """Each row centred on the page."""
    for index, row in enumerate(rows):
        figure.legend(
            [handle for handle, _ in row],
            [label for _, label in row],
            loc="center",
            bbox_to_anchor=(0.5, 1 - (from_top + 0.18 * index) / height),
            ncols=len(row),
            frameon=False,
            fontsize=8.0,
            handlelength=2.2,
            handletextpad=0.5,
            columnspacing=1.6,
            borderpad=0,
        )


def footer(figure: Figure, lines: list[tuple[Note, list[str]]], width: float, height: float, top: float) -> None:
    y = top
    if lines:
        figure.add_artist(rule(SIDE / width, 1 - SIDE / width, (top + 0.04) / height))
    for note, texts in lines:
        for index, text in enumerate(texts):
            at = (y - LINE / 2) / height
            if index == 0:
                figure.text(SIDE / width, at, note.name, size=SMALL, weight="bold", va="center", parse_math=False)
            x = SIDE + NAMES
            if index == 0 and note.verdict:
                colour = VERDICT_COLOURS.get(note.verdict, INK)
                options: dict[str, Any] = {"size": SMALL, "weight": "bold", "color": colour}
                figure.text(x / width, at, note.verdict, va="center", parse_math=False, **options)
                x += text_width(f"{note.verdict} ", SMALL, "bold")
                text = text.removeprefix(note.verdict).lstrip()
            figure.text(x / width, at, text, size=SMALL, va="center", color=INK, parse_math=False)
            y -= LINE


def rule(x0: float, x1: float, y: float, weight: float = 0.5) -> Line2D:
    return Line2D([x0, x1], [y, y], color=GREY, linewidth=weight)


def common_notes(drawing: Drawing, check: dict[str, Any], shown: str) -> list[Note]:
    """What every figure says below its panels, in this order."""
    reduced = "; ".join(drawing.budget.reduced).replace("->", "→")
    budget = "the paper's" if drawing.budget.is_paper else f"{drawing.budget.name}, instead of the paper's"
    notes = [Note("Shown", shown), Note("Budget", f"{budget}: {reduced}" if reduced else budget)]
    notes += [Note("Origin: ours", text) for text in drawing.origin]
    for claim in check["claims"]:
        quoted = f'"{claim["says"]}" ({claim["where"]}): {claim["text"]}.'
        notes.append(Note("Claim", quoted, claim["verdict"]))
    return notes


def diverged_note(drawing: Drawing, gathered: Gathered) -> list[Note]:
    """Which runs are not in the means because they never end, so that the means are of the others."""
    names = []
    for run in gathered.diverged:
        algorithm, task, seed, _ = run_parts(run)
        names.append(f"{drawing.label(algorithm)} on {task_title(task)}, seed {seed}")
    if not names:
        return []
    count = "1 run became NaN and is" if len(names) == 1 else f"{len(names)} runs became NaN and are"
    return [Note("Diverged", f"{count} left out of all means: {'; '.join(names)}.")]


def seeds_phrase(counts: Sequence[int], wanted: int) -> str:
    """`5 seeds`, or `2 to 4 of 5 seeds` where some are missing."""
    low, high = (min(counts), max(counts)) if counts else (0, 0)
    drawn = f"{low} to {high}" if low != high else f"{low}"
    of = "" if low == high == wanted else f" of {wanted}"
    return f"{drawn}{of} seed{'s' * (wanted != 1 or high != 1)}"


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Inches."""
    font = FontProperties(family="STIXGeneral", size=size, weight=weight)
    # Many dots an inch, because widths come in whole dots.
    return float(RendererAgg(1, 1, DOTS).get_text_width_height_descent(text, font, ismath=False)[0]) / DOTS


def wrapped(text: str, width: float, size: float = SMALL) -> list[str]:
    """Lines no wider than `width` inches, broken at spaces."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
