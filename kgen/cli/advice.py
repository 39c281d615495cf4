"""What a sweep's results say of what to use: in words, as a table, and as parameters that a sweep file takes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kgen.cli.text import count, short
from kgen.spec import Value, text_of

if TYPE_CHECKING:
    from kgen.analysis.recommended import Group, Recommended
    from kgen.workflow.recommend import Advice

_VERY: Final = 0.95
_FAIRLY: Final = 0.8
_POSSIBLE: Final = 0.05
"""A group that is the best in fewer of the resamples is not named beside the best."""
_FEW: Final = 4
"""Values on x below which nobody can see a valley."""
_MOST_NEXT: Final = 8
_WIDTH: Final = 100
HINTS: Final = "range tests hint at these, by one short run each"


def main_question(advice: Advice) -> Recommended | None:
    """The first that has something to choose from."""
    chosen = (one for one in advice.questions if any(group.values > 1 for group in one.groups) or len(one.groups) > 1)
    return next(chosen, next(iter(advice.questions), None))


def points(advice: Advice) -> list[Mapping[str, Value]]:
    """The recommended point of each group that works, the best first; without any those of range tests."""
    question = main_question(advice)
    found = [] if question is None else [group.parameters for group in question.groups if group.one.works]
    return found or list(advice.hints)


def is_answered(advice: Advice) -> bool:
    """Whether something is recommended; what range tests hint at is not."""
    question = main_question(advice)
    return question is not None and question.best is not None


def table(advice: Advice) -> str:
    """All of it for a person."""
    question = main_question(advice)
    if question is None:
        lines = [_nothing(advice, None)]
    else:
        lines = [_headline(advice, question), "", *_groups(question), ""]
        lines += [_bullet(text) for text in sentences(advice, question)]
    for title, following in _next(advice, question):
        lines += ["", f"{title}:", *(f"  {line}" for line in following)]
    return "\n".join(lines).strip("\n")


def parameters_yaml(advice: Advice) -> str:
    """The recommended points as ``parameters:`` of a sweep file, with comments that say where they are from."""
    question = main_question(advice)
    found = points(advice)
    if question is None or question.best is None:
        groups: list[Group | None] = [None] * len(found)
        said = [f"sweep {advice.spec.name}: by one range test each, not confirmed"]
    else:
        groups = [group for group in question.groups if group.one.works]
        said = [_headline(advice, question), *sentences(advice, question)]
    lines = ["# kgen recommend"]
    for text in said:
        lines += textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ")
    lines.append("parameters:")
    for point, group in zip(found, groups, strict=True):
        entries = [f"{_key(name)}: [{_scalar(value)}]" for name, value in point.items()]
        comment = "" if group is None or question is None else f"  # {_said(group, question)}"
        lines += [f"  - {entries[0]}{comment}", *(f"    {entry}" for entry in entries[1:])]
    return "\n".join(lines)


def to_json(advice: Advice) -> dict[str, Any]:
    """Everything, as plain values; ``questions[main]`` is the one that other formats show."""
    question = main_question(advice)
    return {
        "sweep": advice.spec.name,
        "main": None if question is None else advice.questions.index(question),
        "questions": [_question_json(one, advice) for one in advice.questions],
        "range_tests": [dict(point) for point in advice.hints],
        "unfinished": dict(advice.unfinished),
    }


def names(advice: Advice) -> str:
    """A line for each recommended point, as ``--where`` takes it."""
    return "\n".join(",".join(f"{name}={text_of(value)}" for name, value in one.items()) for one in points(advice))


# -- words


def sure_words(share: float | None) -> str:
    """How sure something is, in words and per cent."""
    if share is None:
        return "unknown"
    word = "very sure" if share >= _VERY else "fairly sure" if share >= _FAIRLY else "not sure"
    return f"{_percent(share)}, {word}"


def sentences(advice: Advice, question: Recommended) -> list[str]:
    """What must be known of it, most important first."""
    return [*_which_group(question), *_what_is_lacking(question), *_from_what(advice, question)]


def _headline(advice: Advice, question: Recommended) -> str:
    best = question.best
    if best is None:
        return _nothing(advice, question)
    at = ", ".join(f"{name} {short(value)}" for name, value in best.parameters.items() if name not in question.per)
    what = " at ".join(filter(None, [best.label if question.per else "", at])) or best.label
    interval = _interval(best)
    return f"Use {what}: {_value(best, question)}{f' ({interval})' if interval else ''}."


def _nothing(advice: Advice, question: Recommended | None) -> str:
    if question is None and advice.hints:
        return "Nothing can be recommended yet: there are only range tests, one short run each."
    if question is None or question.results == 0:
        expected = 0 if question is None else question.trials
        of = f" of {count(expected, 'trial')} that are known" if expected else ", and no trial is known yet"
        return f"Nothing can be recommended yet: there is no result{of}."
    return f"Nothing can be recommended: nothing works in {count(question.results, 'trial')}."


def _which_group(question: Recommended) -> Iterator[str]:
    working = [group for group in question.groups if group.one.works]
    best = question.best
    if best is None or len(question.groups) < 2:
        return
    first, of = question.measure.first, f"of the {len(question.groups)}"
    if len(working) == 1:
        yield f"{best.label} is the only one {of} that works at all."
    elif best.first is None:
        yield f"Whether {best.label} is the {first} {of} can't be said: there is nothing to judge the noise by."
    elif best.first >= _FAIRLY:
        yield f"{best.label} is the {first} {of}: {sure_words(best.first)}."
    else:
        likely = sorted(working, key=lambda group: -(group.first or 0))
        shares = [f"{group.label} {_percent(group.first)}" for group in likely if (group.first or 0) >= _POSSIBLE]
        yield f"Which one is the {first} {of} is not decided: {', '.join(shares)}."


def _what_is_lacking(question: Recommended) -> Iterator[str]:
    from kgen.analysis.confidence import Resampled

    working = [group for group in question.groups if group.one.works]
    lonely = [group.label for group in working if group.at_seeds < 2]
    if working and question.by is not Resampled.SEEDS and len(lonely) == len(working):
        yield (
            "One seed can't decide it: the per cents count the noise of single runs, and another seed may move all of "
            "it. Repeats at these values and their neighbours would decide (kgen run --recommend)."
        )
    elif lonely:
        yield f"One seed only where it is best, which may be luck: {', '.join(lonely)}."
    elif working and question.by is not Resampled.SEEDS:
        yield "Most values ran with one seed: the per cents are by the noise of single runs alone."
    few = [f"{group.label} {group.values}" for group in question.groups if 0 < group.values < _FEW]
    if few and question.x is not None and any(group.values > 1 for group in question.groups):
        yield f"Too few values of {question.x} to see a valley: {', '.join(few)}."
    unsure = [group.label for group in working if group.one.sure is not None and group.one.sure < _FAIRLY]
    if unsure:
        yield f"Not sure enough to rely on: {', '.join(unsure)}."
    for group in question.groups:
        if not group.one.works:
            tried = f"{count(group.values, 'value')} of {question.x}" if question.x else count(group.trials, "trial")
            yield (
                f"{group.label}: nothing works, of {tried} tried." if group.trials else f"{group.label}: no result yet."
            )


def _from_what(advice: Advice, question: Recommended) -> Iterator[str]:
    of = f" of {question.trials:,}" if question.results < question.trials else ""
    seeds = max((group.seeds for group in question.groups), default=0)
    stages = f" of stage{'s' * (len(question.stages) > 1)} {', '.join(question.stages)}" if advice.spec.stages else ""
    yield f"From {question.results:,}{of} trials{stages}, with {'up to ' * (seeds > 1)}{count(seeds, 'seed')} a point."
    for stage, why in advice.unfinished.items():
        yield f"Stage {stage}: {why}."
    others = [one for one in advice.questions if one is not question]
    if others:
        named = [f"--stage {one.stages[0]} ({one.measure.label})" for one in others]
        yield f"Other stages answer other questions: {', '.join(named)}."


def _next(advice: Advice, question: Recommended | None) -> Iterator[tuple[str, list[str]]]:
    """What could be trained next, under the words that say what it is."""
    groups = () if question is None else question.groups
    new = [point for group in groups for point in group.next[: group.new]]
    again = [point for group in groups for point in group.next[group.new :]]
    for title, points in (
        ("trials that would tell most, at values that nobody has tried", new),
        ("trials that would tell most, at values that were tried, with another seed", again),
    ):
        if points:
            more = [f"… and {len(points) - _MOST_NEXT} more (-o json)"] if len(points) > _MOST_NEXT else []
            yield title, [*map(_point, points[:_MOST_NEXT]), *more]
    if advice.hints:
        yield HINTS, list(map(_point, advice.hints))


def hint_lines(hints: Sequence[Mapping[str, Value]]) -> list[str]:
    """What range tests say, under a line that says so; nothing without any."""
    return [f"{HINTS}:", *(f"  {_point(point)}" for point in hints)] if hints else []


# -- parts of these


def _groups(question: Recommended) -> list[str]:
    names = list(dict.fromkeys(name for one in question.groups for name in one.parameters if name not in question.per))
    of = f" of {question.x}" if len(names) > 1 and question.x else ""
    header = [", ".join(question.per), *names, f"safe band{of}", question.measure.label, "95 % interval", "sure"]
    rows = [header]
    for group in question.groups:
        one = group.one
        at = [short(group.parameters[name]) if name in group.parameters else "–" for name in names]
        if not one.works:
            at = ["none works", *[""] * (len(names) - 1)]
        interval = _interval(group).removeprefix("95 %: ")
        sure = _sure(group, question) if one.works else ""
        rows.append([group.label if question.per else "", *at, _band(group), _number(one.value), interval, sure])
    shown = [place for place in range(len(header)) if any(row[place] for row in rows[1:])]
    widths = [max(len(row[place]) for row in rows) for place in range(len(header))]
    return ["  ".join(row[place].ljust(widths[place]) for place in shown).rstrip() for row in rows]


def _said(group: Group, question: Recommended) -> str:
    band = _band(group)
    return "; ".join([_value(group, question), *([f"safe from {band}"] if band else []), _sure(group, question)])


def _value(group: Group, question: Recommended) -> str:
    """``350 steps to the target``, ``best val_accuracy 0.95``."""
    label, value = question.measure.label, _number(group.one.value)
    return f"{value} {label}" if question.measure.is_time else f"{label} {value}"


def _sure(group: Group, question: Recommended) -> str:
    from kgen.analysis.confidence import Resampled

    if question.by is Resampled.RESIDUALS and group.one.sure is not None:
        return f"{_percent(group.one.sure)}, by single runs"
    return sure_words(group.one.sure)


def _band(group: Group) -> str:
    return "" if group.one.band is None else " to ".join(short(end) for end in group.one.band)


def _interval(group: Group) -> str:
    one = group.one
    if not one.works or (one.low is None and one.high is None):
        return ""
    low, high = (("no bound" if end is None else _number(end)) for end in (one.low, one.high))
    return f"95 %: {low} to {high}"


def _point(point: Mapping[str, Value]) -> str:
    return " ".join(f"{name}={short(value)}" for name, value in point.items())


def _number(value: float | None) -> str:
    from kgen.analysis.text import number

    return number(value, 3)


def _percent(share: float | None) -> str:
    from kgen.analysis.text import percent

    return "–" if share is None else percent(round(1000 * share), 1000)


def _bullet(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="- ", subsequent_indent="  ")


def _key(name: str) -> str:
    return name if name.isidentifier() and name.lower() not in ("true", "false", "null") else json.dumps(name)


def _scalar(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else text_of(value)


def _question_json(question: Recommended, advice: Advice) -> dict[str, Any]:
    best = question.best
    return {
        "stages": list(question.stages),
        "objective": question.objective.to_json(),
        "measure": question.measure.label,
        "x": question.x,
        "per": list(question.per),
        "trials": question.trials,
        "results": question.results,
        "resampled": None if question.by is None else str(question.by),
        "best": None if best is None else dict(best.parameters),
        "groups": [_group_json(group) for group in question.groups],
        "sentences": [_headline(advice, question), *sentences(advice, question)],
    }


def _group_json(group: Group) -> dict[str, Any]:
    one = group.one
    return {
        "group": dict(group.group),
        "parameters": dict(group.parameters) if one.works else None,
        "value": one.value,
        "interval": [one.low, one.high] if one.works else None,
        "safe_band": None if one.band is None else list(one.band),
        "within": one.within,
        "sure": _share(one.sure),
        "best_of_all": _share(group.first),
        "trials": group.trials,
        "values": group.values,
        "seeds": group.seeds,
        "seeds_at_best": group.at_seeds,
        "next": [dict(point) for point in group.next],
        "next_new": group.new,
    }


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
