"""The choices of a sweep's stages as files of its results: read, written once, put into words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from kgen.choice import Choice, Chosen, digest_of
from kgen.errors import InputError, StoreError
from kgen.names import choice_file
from kgen.results.store import Store
from kgen.spec import dump_json, shown
from kgen.sweep import SweepSpec, expand
from kgen.sweep.expand import canonical
from kgen.sweep.sweepspec import Stage

_NAMED: Final = 5
"""Trials that an error names one by one."""


def read_choice(spec: SweepSpec, stage: Stage, store: Store, *, check: bool = True) -> Choice | None:
    """The choice that a stage's trials come of; None where none was made yet, or where the stage that it was made of
    has been chosen anew since.

    Raises StoreError for a file that can't be read or is damaged and, with ``check``, InputError for a choice that was
    made for another ``from`` than the file has now.
    """
    name = choice_file(stage.name)
    if not store.exists(name):
        return None
    choice = _parsed(name, store)
    assert stage.source is not None
    if choice.source == stage.source.stage and choice.parent != parent_of(spec, stage, store):
        return None
    if check:
        check_asked(spec, stage, choice)
    return choice


def parent_of(spec: SweepSpec, stage: Stage, store: Store) -> str | None:
    """What a choice of the stage made now has as ``parent``; None where the choice that it needs is not made yet.

    Raises StoreError.
    """
    assert stage.source is not None
    source = next(one for one in spec.stages if one.name == stage.source.stage)
    if source.source is None:
        return ""
    if read_choice(spec, source, store, check=False) is None:
        return None
    return digest_of(store.read(choice_file(source.name)))


def write_choice(spec: SweepSpec, stage: Stage, store: Store, made: Choice) -> Choice:
    """Write a choice: in place of one that counts no more, else unless there is one already, of somebody who was
    faster; returns the one that is there then. Nothing is ever without the old one or the new one.

    Raises as :func:`read_choice` does.
    """
    name = choice_file(stage.name)
    if store.exists(name):
        store.write(name, replace(made, edition=_parsed(name, store).edition + 1).to_json().encode())
    else:
        store.create(name, made.to_json().encode())
    written = _parsed(name, store)
    check_asked(spec, stage, written)
    return written


def choices_made(spec: SweepSpec, store: Store) -> tuple[Choice, ...]:
    """Those of all stages that have one. Raises as :func:`read_choice` does."""
    choosing = [stage for stage in spec.stages if stage.source is not None]
    return tuple(choice for stage in choosing if (choice := read_choice(spec, stage, store)) is not None)


def _parsed(name: str, store: Store) -> Choice:
    try:
        return Choice.from_json(store.read(name).decode())
    except ValueError as error:
        raise StoreError(f"{store.location}/{name}: can't be read: {error}") from error


def check_asked(spec: SweepSpec, stage: Stage, choice: Choice) -> None:
    """Raises InputError with the line of ``from``, where that is not what the choice was made for."""
    from kgen.sweep.document import Path, parse

    assert stage.source is not None
    now, then = _question(stage.source.to_json()), _question(choice.asked)
    if dump_json(now) == dump_json(then):
        return
    number = [one.name for one in spec.stages].index(stage.name)
    path: Path = ("stages", number, "parameters", "from")
    edits = [f"{name} {_shown(now.get(name))}, before {_shown(then.get(name))}" for name in {**then, **now}
             if now.get(name) != then.get(name)]  # fmt: skip
    found = f"{'; '.join(edits)}: another question than stage {stage.name} was chosen by"
    allowed = f"what it was, or --rechoose {stage.name}, which chooses anew and keeps all rows"
    raise InputError([parse(spec.text, str(spec.file)).problem(path, found, allowed, key=True)])


def _question(asked: Mapping[str, Any]) -> dict[str, Any]:
    """``from`` without the order of what has none."""
    plain = canonical(dict(asked))
    if where := plain.get("where"):
        plain["where"] = {name: _unordered(values) for name, values in where.items()}
    return {**plain, "per": _unordered(plain.get("per", []))}


def _unordered(values: Iterable[Any]) -> list[Any]:
    return [value for _, value in sorted({dump_json(value): value for value in values}.items())]


def outdated(spec: SweepSpec, choice: Choice) -> str:
    """That a choice rests on trials which the stage that it was made of has no more, in words; empty where all of them
    are there. ``spec`` has all parts of that stage."""
    own = {trial.id for part in spec.parts if part.stage == choice.source for trial in expand(part)}
    if not (gone := choice.gone(own)):
        return ""
    made_by = sum(len(one.trials) for one in choice.chosen)
    some = f"{len(gone):,} of {made_by:,} trials" if len(gone) < made_by else "trials"
    return (
        f"stage {choice.stage} was chosen by {some} that stage {choice.source} has no more; "
        f"--rechoose {choice.stage} chooses by those that it has"
    )


def to_rechoose(spec: SweepSpec, rechoose: Collection[str]) -> set[str]:
    """The stages of that name, and those that follow from them. Raises InputError for one that chooses nothing."""
    choosing = [stage for stage in spec.stages if stage.source is not None]
    names = [stage.name for stage in choosing]
    if wrong := [name for name in rechoose if name not in names]:
        allowed = f"a stage with from: {', '.join(names)}" if names else "no such option: no stage has from"
        raise InputError.of("the command line", "--rechoose", wrong[0], allowed)
    first = [stage for stage in choosing if stage.name in rechoose]
    return {stage.name for one in first for stage in (one, *following(spec, one))}


def following(spec: SweepSpec, stage: Stage) -> list[Stage]:
    """The stages that follow from what a stage's trials are, in the file's order."""
    found: list[Stage] = []
    for other in spec.stages:
        if other.source is not None and other.source.stage in {stage.name, *(one.name for one in found)}:
            found.append(other)
    return found


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return " ".join(_shown(item) for item in value.values())
    return ", ".join(map(_shown, value)) if isinstance(value, list) else shown(value)


def lacking(missing: Mapping[str, str], expected: int) -> str:
    """Which trials lack a result, and why: ``3 of 288 trials: ab… (failed: no luck), …``."""
    named = [f"{trial} ({why})" if why else trial for trial, why in list(missing.items())[:_NAMED]]
    more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
    return f"{len(missing):,} of {expected:,} trials: {', '.join(named)}{more}"


def said(choice: Choice) -> list[str]:
    """A choice in sentences."""
    lines = [f"stage {choice.stage}: chosen from stage {choice.source}: {choice.rule}"]
    lines += [f"  {_point(one)} ({_value(one)}){_around(one)}" for one in choice.chosen]
    lines += [f"  without {label or 'any'}: {why}" for label, why in choice.without.items()]
    if choice.missing:
        lines.append(f"  incomplete: {choice.source} lacked {len(choice.missing):,} results when this was chosen")
    return lines


def _point(one: Chosen) -> str:
    """The group first, then what is best in it."""
    point = {**one.group, **{name: value for name, value in one.best.items() if name not in one.group}}
    return ", ".join(f"{name}={shown(value)}" for name, value in point.items())


def _value(one: Chosen) -> str:
    ends = ["?" if end is None else f"{end:.4g}" for end in (one.low, one.high)]
    return f"{one.value:.4g}" + (f", 95 % {ends[0]} to {ends[1]}" if ends != ["?", "?"] else "")


def _around(one: Chosen) -> str:
    others = len(one.points) - 1
    return f", and {others:,} around it" if others > 0 else ""
