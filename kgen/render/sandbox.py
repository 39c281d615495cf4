"""Where a Job template is executed: nothing to reach but the values it is given, and a bounded amount of work.

A printed value never becomes text. In its place the output has a token, plain ASCII, and the value is kept beside it;
:mod:`kgen.render.tree` puts it back after the output was parsed. So no value can change what is around it, whatever
characters it has. What a macro or a block ``set`` gives (``Markup``) holds tokens already and passes as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing
from markupsafe import Markup

from kgen.spec import dump_json, text_of

MAX_STEPS: Final = 100_000
"""Turns of loops, calls and printed values in one rendering."""
MAX_TEXT: Final = 1 << 22
"""Characters that one rendering makes, intermediate ones too."""
_MAX_BITS: Final = 8192
"""Of a whole number."""
CONCAT: Final = "~"
COUNTED: Final = "~for"
"""Filters that stand for an operator and a loop: no template can name them."""

_METHODS: Final[Mapping[type, tuple[str, ...]]] = {
    str: (
        "capitalize", "endswith", "isdigit", "lower", "lstrip", "removeprefix", "removesuffix", "rsplit", "rstrip",
        "split", "splitlines", "startswith", "strip", "title", "upper",
    ),
    dict: ("get", "items", "keys", "values"),
    list: ("count", "index"),
    tuple: ("count", "index"),
}  # fmt: skip
"""The attributes that a template may use; mappings have their keys beside these, which come first."""
_LOOP: Final = (
    "changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem",
    "revindex", "revindex0",
)  # fmt: skip
_FILTERS: Final = (
    "abs", "capitalize", "count", "dictsort", "first", "float", "int", "items", "last", "length", "list", "lower",
    "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "sort", "sum", "title",
    "unique", "upper",
)  # fmt: skip
_TAKE_MARKUP: Final = ("d", "default", "trim")


class TemplateMistake(Exception):  # noqa: N818 - turned into a Problem before anybody sees it
    """What a template did and what it may do."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"found {found}, allowed {allowed}")
        self.found = found
        self.allowed = allowed


class UnknownName(Exception):  # noqa: N818 - the same
    """A variable, or a key of one, that does not exist; ``owner`` is ``missing`` for a variable."""

    def __init__(self, owner: object, name: object, message: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name


class _Missing(StrictUndefined):
    """A name that does not exist, which is an error as soon as it is used."""

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:
        super().__init__(hint, obj, name)
        self._undefined_exception = functools.partial(UnknownName, obj, name)  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Json:
    """A value that is wanted as JSON: itself where it stands alone, its JSON text inside of other text."""

    value: Any


@dataclass(frozen=True, slots=True)
class Late:
    """Stands for a value that each trial has its own of: a variable and the keys from there on."""

    path: tuple[str | int, ...]

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The trial's value. Raises LookupError or TypeError where it has none."""
        found: Any = context
        for key in self.path:
            if not isinstance(found, dict | list):
                raise TypeError(f"{key!r} of {found!r}")
            found = found[key]  # type: ignore[index] # text as an index of a list is the TypeError that is promised
        return found


def text(value: Any) -> str:
    """A value as part of a text. Raises TemplateMistake for what has no text of its own."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float):
        return text_of(value)
    if isinstance(value, Json):
        return dump_json(value.value, written=True)
    if isinstance(value, Undefined):
        return str(value)  # raises UnknownName
    what = "nothing (none)" if value is None else f"a {_kind(value)} in a text"
    raise TemplateMistake(what, "text or a number; a list with join(','), anything with tojson")


def _kind(value: object) -> str:
    return {"dict": "mapping", "tuple": "list"}.get(type(value).__name__, type(value).__name__)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja with values as tokens, names that must exist, allow-lists for the rest, and an end."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self, token: str) -> None:
        """``token`` begins all tokens: something that the template does not contain."""
        super().__init__(
            autoescape=True,
            undefined=_Missing,
            finalize=self._print,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            optimized=False,  # a constant is a value like others, and is counted like others
            cache_size=0,
        )
        self.token = token
        self.token_pattern = re.compile(re.escape(token) + r"-(\d+)-end")
        self.printed: list[Any] = []
        """The values behind the tokens of this rendering, in order."""
        self.macro_weight = 0
        """Characters of the template's own text that a call of a macro may give."""
        self._steps = self._text = 0
        self.globals = {"range": self._range, "namespace": Namespace, "dict": dict}
        self.filters = {name: _without_markup(name, FILTERS[name]) for name in _FILTERS}
        self.filters |= {name: FILTERS[name] for name in _TAKE_MARKUP}
        self.filters |= {
            "indent": _indent,
            "join": self._join,
            "replace": self._replace,
            "string": text,
            "tojson": Json,
            CONCAT: self._concat,
            COUNTED: self._counted,
        }

    def begin(self) -> None:
        """Before each rendering."""
        self.printed = []
        self._steps, self._text = MAX_STEPS, MAX_TEXT

    def spend(self, steps: int, characters: int = 0) -> None:
        """Raises TemplateMistake when a template does too much."""
        self._steps -= steps
        self._text -= characters
        if self._steps < 0:
            raise TemplateMistake("more work than a Job can need", f"at most {MAX_STEPS:,} turns of loops and calls")
        if self._text < 0:
            raise TemplateMistake("more text than a Job can have", f"at most {MAX_TEXT:,} characters")

    # -- what is printed

    @pass_context
    def _print(self, context: Context, value: Any) -> str:
        if isinstance(value, Markup):
            self.spend(1, len(value))
            return value
        return self._token(value)

    def _token(self, value: Any) -> str:
        if isinstance(value, Undefined):
            str(value)  # raises UnknownName
        self.spend(1)
        self.printed.append(value)
        return f"{self.token}-{len(self.printed) - 1}-end"

    def _concat(self, items: Iterable[Any]) -> str:
        """``a ~ b``: text, or what it becomes when one of them is a macro's output, with the others as tokens."""
        parts = list(items)
        if any(isinstance(part, Markup) for part in parts):
            tokens = [part if isinstance(part, Markup) else self._token(part) for part in parts]
            whole: str = Markup("".join(tokens))
        else:
            whole = "".join(map(text, parts))
        self.spend(1, len(whole))
        return whole

    def _join(self, items: Iterable[Any], separator: str = "") -> str:
        between: list[Any] = []
        for item in items:
            between += (separator, item)
        return self._concat(between[1:])

    def _replace(self, value: Any, old: str, new: str) -> str:
        if isinstance(value, Markup):
            raise _no_markup("replace")
        whole, old, new = text(value), text(old), text(new)
        self.spend(1, len(whole) + (whole.count(old) + 1) * len(new))
        return whole.replace(old, new)

    # -- what is done

    def _range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        self.spend(1 + len(numbers[:MAX_STEPS]))
        return numbers[:MAX_STEPS]

    def _counted(self, items: Iterable[Any], weight: int) -> Iterator[Any]:
        """The items of a loop whose body has this much text."""
        for item in items:
            self.spend(1, weight)
            yield item

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in jinja2
        """Call a macro, or one of the few functions there are."""
        __self.spend(1, __self.macro_weight if isinstance(__obj, Macro) else 0)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, refused where a few characters could make megabytes."""
        if isinstance(left, Markup) or isinstance(right, Markup):
            if operator == "+":
                return self._concat((left, right))
            raise TemplateMistake(f"{operator} with the output of a macro or block", "~")
        if operator == "%" and isinstance(left, str):
            raise TemplateMistake("% with a text", "~, or round and join")
        if operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, str | list | tuple) and isinstance(other, int):
                    self.spend(1, len(one) * max(0, other))
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _MAX_BITS:
                raise TemplateMistake(f"a number too large for a Job by {operator}", f"at most {_MAX_BITS} bits")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str | list | tuple):
            self.spend(1, len(result))
        return result

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a mapping, or one of the few attributes that are allowed."""
        if isinstance(obj, Late):
            return Late((*obj.path, attribute))
        if isinstance(obj, Undefined):
            str(obj)  # raises UnknownName
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if attribute in _METHODS.get(type(obj), ()) or (isinstance(obj, LoopContext) and attribute in _LOOP):
            return getattr(obj, attribute)
        if type(obj) is Namespace and not attribute.startswith("_"):
            try:
                return getattr(obj, attribute)
            except AttributeError:
                pass
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item by its key, number or range."""
        if isinstance(obj, Late):
            return Late((*obj.path, argument))
        if isinstance(obj, Undefined):
            str(obj)  # raises UnknownName
        if isinstance(obj, dict | list | tuple | range | str):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        return self.undefined(obj=obj, name=argument)


def _no_markup(name: str) -> TemplateMistake:
    return TemplateMistake(f"{name} of the output of a macro or block", "indent, trim or join there")


def _without_markup(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refused where it would cut through tokens."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(argument, Markup) for argument in args):
            raise _no_markup(name)
        return function(*args, **kwargs)

    return wrapper


def _indent(value: Any, width: int = 4, first: bool = False) -> str:
    """Every line but the first deeper by this many spaces; blank ones stay as they are."""
    if not 0 <= width <= 100:
        raise TemplateMistake(f"indent({width})", "0 to 100 spaces")
    lines = text(value).split("\n")
    indented = [" " * width + line if line and (number or first) else line for number, line in enumerate(lines)]
    result = "\n".join(indented)
    return Markup(result) if isinstance(value, Markup) else result
