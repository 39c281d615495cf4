"""``kgen run --recommend``: a sweep file with ranges → a file of two stages beside it, for anybody to read and run."""

from __future__ import annotations

import copy
import hashlib
import io
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgen.errors import InputError
from kgen.names import SWEEP_NAME_LIMIT, TEMPORARY_PREFIX
from kgen.sweep import SweepSpec, load
from kgen.sweep.load import loads
from kgen.sweep.sweepspec import Method, Range, Search

if TYPE_CHECKING:
    from ruamel.yaml import YAML

REPEATS: Final = 5
"""Seeds at each value that is confirmed; none of them the search has seen, so that its luck is not confirmed too."""
_SUFFIX: Final = "recommend"
_SEARCH: Final = "search"
_CONFIRM: Final = "confirm"
_STAGE_KEYS: Final = ("parameters", "search", "budget")
_MARK: Final = "# sha256 of all below, so that nobody's edit is lost: "
_MARKED: Final = re.compile(rf"^{re.escape(_MARK)}([0-9a-f]{{64}})\n", re.MULTILINE)


def derive(file: Path) -> Path:
    """Write ``<stem>.recommend.yaml`` beside a sweep file, if it would differ from what is there; returns its path.

    Its first stage is the file's own search, or the default method over its parameters; the second one trains the best
    of each group and its neighbours with new seeds. The results lie under a name of their own.

    Raises InputError for mistakes in the file, for one that has stages already, and for a derived one that somebody
    has edited.
    """
    target = derived_file(file)
    text = _derived(file)
    there = _read(target)
    if there is not None and there != text:
        _check_own(file, target, there)
    if there != text:
        _write(target, text)
    load(target)
    return target


def derived_file(file: Path) -> Path:
    """Path of the file that ``--recommend`` makes of a sweep file."""
    return file.with_name(f"{file.stem}.{_SUFFIX}.yaml")


def _derived(file: Path) -> str:
    yaml = _yaml()
    text = _text(file)
    spec, search = _searched(file, text)
    data = yaml.load(text)
    stages = [
        {
            "name": _SEARCH,
            "parameters": data["parameters"],
            "search": data.get("search") or _search(search),
            **_copied(data, "budget"),
        },
        {
            "name": _CONFIRM,
            "parameters": {"from": {"stage": _SEARCH, **_per(search), "neighbours": 1}},
            **_copied(data, "budget"),
            "seed": spec.seed + spec.repeats,
            "repeats": max(REPEATS, spec.repeats),
        },
    ]
    whole = {**{key: value for key, value in data.items() if key not in _STAGE_KEYS}, "stages": stages}
    whole["name"] = f"{spec.name[: SWEEP_NAME_LIMIT - len(_SUFFIX) - 1].rstrip('-')}-{_SUFFIX}"
    out = io.StringIO()
    yaml.dump(whole, out)
    return _headed(file, out.getvalue())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return load(file).text  # which says what is wrong with it


def _searched(file: Path, text: str) -> tuple[SweepSpec, Search]:
    """The file as one stage with a search; its mistakes at their own lines."""
    document = _yaml().load(text) if not _has_mistakes(text) else None
    if isinstance(document, dict) and "stages" in document:
        allowed = "parameters, and a search if you like: a file with stages says itself what is confirmed (kgen run)"
        raise InputError.of(str(file), "stages", "stages with --recommend", allowed)
    spec, search = _assuming({}, text, file)
    if named := _groups(search):
        spec, search = _assuming({"per": list(named)}, text, file)
    if search.method is Method.RANGE_TEST:
        allowed = (
            f"{', '.join(method for method in Method if method is not Method.RANGE_TEST)}: a range test has no trial "
            "at one rate that could be confirmed; 'kgen run' and 'kgen recommend' show what it hints at"
        )
        raise InputError.of(str(file), "search.method", f"{search.method} with --recommend", allowed)
    return spec, search


def _assuming(search: Mapping[str, Any], text: str, file: Path) -> tuple[SweepSpec, Search]:
    """The file, with that search if it has none."""
    spec = loads(text, file=str(file), assumed={"search": search}, strict=True)
    found = spec.stages[0].search
    assert found is not None, "a file with a search"
    return spec, found


def _has_mistakes(text: str) -> bool:
    """Whether it is no YAML at all, which the loader will say."""
    from ruamel.yaml.error import YAMLError

    try:
        _yaml().load(text)
    except YAMLError:
        return True
    return False


def _search(search: Search) -> dict[str, Any]:
    return {"method": str(search.method), **_per(search)}


def _groups(search: Search) -> tuple[str, ...]:
    """What makes the groups: what the file says, else every parameter whose values are words."""
    return search.per or tuple(name for name in search.spaces[0] if _is_category(search, name))


def _per(search: Search) -> dict[str, Any]:
    named = _groups(search)
    if not named:
        return {}
    from ruamel.yaml.comments import CommentedSeq

    listed = CommentedSeq(named)
    listed.fa.set_flow_style()
    return {"per": listed}


def _is_category(search: Search, name: str) -> bool:
    sides = [space.get(name) for space in search.spaces]
    values = [value for side in sides if side is not None and not isinstance(side, Range) for value in side]
    listed = all(side is not None and not isinstance(side, Range) for side in sides)
    return listed and len(set(values)) > 1 and all(isinstance(value, str | bool) for value in values)


def _copied(data: Any, key: str) -> dict[str, Any]:
    return {key: copy.deepcopy(data[key])} if key in data else {}


def _headed(file: Path, body: str) -> str:
    head = f"""\
# Made of {file.name} by 'kgen run --recommend {file.name}', and made anew when that changes: edit {file.name}.
# First its search; then the best of each group and its neighbours, with seeds that the search did not see.
"""
    return f"{head}{_MARK}{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def _check_own(file: Path, target: Path, there: str) -> None:
    """Raises InputError for a file that is not as it was written."""
    found = _MARKED.search(there)
    if found is None or hashlib.sha256(there[found.end() :].encode()).hexdigest() != found[1]:
        what = "a file of somebody's" if found is None else "edited by somebody"
        allowed = (
            f"as --recommend wrote it: run it as it is ('kgen run {target}'), or move it away and run "
            f"'kgen run --recommend {file}' again"
        )
        raise InputError.of(str(target), "the file", what, allowed)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.of(str(file), "the file", str(error), "one that can be read, or none") from error


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        allowed = "a folder that can be written to: the stages of --recommend stand in a file beside the sweep's"
        raise InputError.of(str(file), "the file", str(error.strerror).lower(), allowed) from error
    finally:
        temporary.unlink(missing_ok=True)


def _yaml() -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
