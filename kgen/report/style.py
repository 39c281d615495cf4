"""How figures look: colours, markers and dashes that can be told apart in grey and by colour-blind eyes.

Colours are those of M. Okabe and K. Ito (2008), "Color Universal Design", without the yellow, which is lost on white.
Groups that are numbers get an ordered scale (cividis) instead, whose lightness follows the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kgen.analysis import Mark

INK: Final = "#1a1a1d"
"""Text, axes, and lines that belong to no group."""
FAINT: Final = "#8b8b93"
"""Grid, lane separators."""
PAPER: Final = "#ffffff"
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1f1f24")
_ORDERED: Final = ("#00224e", "#233f6c", "#45546f", "#5c5c6d", "#717a7e", "#7d7c78", "#94907a", "#a59c74", "#b6a96b")
_DARK_COLOURS: Final = ("#4aa8e0", "#f07a2a", "#2fc79a", "#dd93bb", "#8fd0f5", "#f0b429", "#e8e8ee")
_DARK_ORDERED: Final = (
    "#fee838",
    "#ead254",
    "#d3c164",
    "#bcaf6f",
    "#a59c74",
    "#918d79",
    "#7c7b78",
    "#6b6d7c",
    "#5f6a91",
)
PALETTE: Final[dict[str, tuple[str, str]]] = {
    "ink": (INK, "#ececf1"),
    "faint": (FAINT, "#7d7d88"),
    "paper": (PAPER, "#17171b"),
    **{f"colour-{i}": pair for i, pair in enumerate(zip(_COLOURS, _DARK_COLOURS, strict=True))},
    **{f"ordered-{i}": pair for i, pair in enumerate(zip(_ORDERED, _DARK_ORDERED, strict=True))},
}
"""Every colour of a figure by its name in the page's CSS, on a light and on a dark ground."""
# No × and no +: these say that a run diverged or crashed.
_MARKERS: Final = ("o", "s", "^", "D", "v", "p", "<", "h", ">", "*", "d", "8")
_DASHES: Final = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))

RC: Final[dict[str, Any]] = {
    # The same bytes on every run, and the same shapes on every machine: glyphs become paths, ids come from the salt.
    "svg.hashsalt": "kgen",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    # A parameter may be called $x$: names are names.
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True, slots=True)
class Look:
    """Of one group."""

    colour: str
    marker: str
    dashes: Any


def look(index: int | None, groups: int, *, ordered: bool) -> Look:
    """Of the group with this place among so many; ``None`` is a line or dot that belongs to no group."""
    if index is None:
        return Look(INK, "o", "-")
    colour = _COLOURS[index % len(_COLOURS)]
    if ordered:
        colour = _ORDERED[round(index * (len(_ORDERED) - 1) / max(groups - 1, 1))]
    return Look(colour, _MARKERS[index % len(_MARKERS)], _DASHES[index % len(_DASHES)])


WORDS: Final = {
    Mark.MEASURED: "measured",
    Mark.CAPPED: "capped: short of the target",
    Mark.DIVERGED: "diverged",
    Mark.FAILED: "failed: crash",
    Mark.ABSENT: "no result yet",
    Mark.NO_VALUE: "no comparable value",
}
"""What the legend says to each mark."""
