"""A sweep's packs → their Jobs: rendered, read and checked once per shape, filled per pack. Most are of one trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kgen.errors import InputError, Problem
from kgen.names import DNS_LABEL_PATTERN
from kgen.packs import Pack
from kgen.render.check import field_mistakes
from kgen.render.draft import Mistake, PackKind, Slot
from kgen.render.identity import Identity, Values, no_identity
from kgen.render.manifest import Manifest
from kgen.render.merge import merge
from kgen.render.rules import structure_mistakes, value_mistakes
from kgen.render.sandbox import TemplateMistake, text
from kgen.render.settings import Settings
from kgen.render.shape import Shape, quantities_as_text, signature
from kgen.render.sizes import Sizes
from kgen.render.template import JobTemplate, Output, built_in
from kgen.render.tree import Hole, Origin, Origins, Text, clear_scalar, expand, fill, leaves, plain_value, read
from kgen.sweep import SweepSpec
from kgen.sweep.document import Document, field_name, parse
from kgen.sweep.document import Path as FieldPath

_MAX_PROBLEMS: Final = 50
_PASSED_THROUGH: Final = ("affinity", "resource_claims", "tolerations", "volumes")
"""Fields of ``kubernetes`` in the sweep file that hold parts of Kubernetes' own objects."""
_PUT_IN_BY_KGEN: Final = (
    "allowance", "annotations", "backoff_limit", "deadline", "labels", "namespace", "queue", "queue_priority",
    "secret_env", "template",
)  # fmt: skip
"""Fields that hold whether or not a template uses them."""
_ALSO_AS: Final[Mapping[str, tuple[str, ...]]] = {"gpu": ("affinity",), "resource_claims": ("claims",)}
"""Variables by which a template may use a setting, where they are not called like it."""


class Jobs(Sequence[Manifest]):
    """The Job of each pack, in order; made anew each time they are gone through."""

    def __init__(self, spec: SweepSpec, packs: Sequence[Pack], namespace: str) -> None:
        """Raises InputError with every mistake in the template, the sweep file or a trial's values."""
        self.notes: tuple[str, ...] = ()
        self._spec = spec
        self._packs = packs
        self._namespace = namespace
        self._origins = Origins()
        self._settings = Settings(spec, self._origins)
        given = spec.kubernetes.template
        self._template = built_in() if given is None else JobTemplate(given.text, str(given.file))
        self._read: dict[str, tuple[Document, Any]] = {}
        self._pins: dict[tuple[Any, ...], list[int]] = {}
        self._shapes: dict[tuple[Any, ...], Shape] = {}
        self._plain: dict[int, tuple[Any, Any, Any]] = {}
        self._signatures: dict[str, list[Any]] = {}
        self._identity = Identity()
        self._sizes = Sizes(spec)
        self._notes: dict[str, None] = {}
        self._sweep_file: Document | None = None
        self._check()

    def __len__(self) -> int:
        return len(self._packs)

    def __iter__(self) -> Iterator[Manifest]:
        for pack in self._packs:
            yield self._manifest(pack)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._manifest(pack) for pack in self._packs[index]]
        return self._manifest(self._packs[index])

    def _manifest(self, pack: Pack) -> Manifest:
        shape, values = self._shape(pack)
        return shape.manifest((*self._identity.of(pack, values[Slot.COMMAND]), *values[len(Slot) :]))

    # -- checking

    def _check(self) -> None:
        problems = _Problems()
        problems.add(self._octals())
        for pack in self._packs:
            if too_large := [self._in_file(*mistake) for mistake in self._sizes.mistakes(pack)]:
                problems.add(too_large)
                continue
            try:
                shape, values = self._shape(pack)
            except InputError as error:
                problems.add(error.problems)
            else:
                problems.add(self._placed(m, shape.tree, pack) for m in shape.mistakes(values))
            if problems.are_enough:
                break
        problems.raise_any()
        self.notes = (*self._notes, *self._unused())

    def _unused(self) -> Iterator[str]:
        """Settings that the user's own template does not look at."""
        if self._spec.kubernetes.template is None:
            return
        used = self._template.names()
        for name in parse(self._spec.text, str(self._spec.file)).value.get("kubernetes", {}):
            if name not in _PUT_IN_BY_KGEN and not used & {f"kubernetes.{name}", *_ALSO_AS.get(name, (name,))}:
                yield f"kubernetes.{name}: the template {self._spec.kubernetes.template.file.name} does not use it"

    def _octals(self) -> Iterator[Problem]:
        """Integers with leading zeros in parts of Kubernetes' objects: kubectl would read octal ones there."""
        given = self._spec.kubernetes
        if not any(getattr(given, name) for name in _PASSED_THROUGH):
            return
        document = parse(self._spec.text, str(self._spec.file), plain=clear_scalar)
        for path in document.faulty:
            if path[:1] == ("kubernetes",) and path[1:2] and path[1] in _PASSED_THROUGH:
                place = document.place(path)
                yield from (p for p in document.problems if (p.line, p.column) == (place.line, place.column))

    # -- shapes

    def _shape(self, pack: Pack) -> tuple[Shape, Values]:
        """The pack's shape, and its values but for the identity. Raises InputError for what is wrong with them."""
        context = self._settings.of(pack)
        output = self._template.render(context)
        printed, signatures = self._plain_values(output, context)
        values = (*no_identity(context["command"]), *printed)
        kind = None if pack.is_single else PackKind(self._spec.pod_deadline(len(pack.trials)))
        key = (output.text, signature(context["command"]), signatures, kind)
        pins = self._pins.get(key)
        if pins is not None and (shape := self._shapes.get((key, _pinned(pins, values)))):
            return shape, values
        identity = self._identity.of(pack, context["command"])
        shape = self._new_shape(pack, kind, output, context, (*identity, *printed))
        found = {*self._pins.get(key, ()), *shape.pinned(), *self._kind_slots(output)}
        if output.varying is not None:
            found &= {number + len(Slot) for number in output.varying}
        self._pins[key] = pins = sorted(found)
        self._shapes[key, _pinned(pins, values)] = shape
        return shape, values

    def _plain_values(self, output: Output, context: Mapping[str, Any]) -> tuple[Values, Values]:
        """What was printed, as JSON has it, and the kind of each."""
        values, signatures = list(output.values), self._signatures.get(output.text) or [None] * len(output.values)
        first = output.text not in self._signatures
        for number in range(len(values)) if first or output.varying is None else output.varying:
            value = values[number]
            kind = type(value)
            if kind is str or kind is int:
                signatures[number] = kind
                continue
            last = self._plain.get(number)
            if last is None or last[0] is not value:
                try:
                    plain = plain_value(value)
                except TemplateMistake as error:
                    raise InputError([self._at_token(number, error, output, context)]) from error
                self._plain[number] = last = (value, plain, signature(plain))
            values[number], signatures[number] = last[1:]
        self._signatures[output.text] = signatures
        return tuple(values), tuple(signatures)

    def _at_token(self, number: int, error: TemplateMistake, output: Output, context: Mapping[str, Any]) -> Problem:
        for match in self._template.token_pattern.finditer(output.text):
            if int(match[1]) == number:
                line = self._template.line_of(output.text.count("\n", 0, match.start()) + 1, context)
                return self._template.problem(line, "template", error.found, error.allowed)
        return self._template.problem(0, "template", error.found, error.allowed)

    def _check_texts(self, tree: Any, output: Output, context: Mapping[str, Any], values: Values) -> None:
        """Raises InputError for a list or a mapping where text is wanted."""
        for _, leaf in leaves(tree):
            if isinstance(leaf, Text):
                for part in leaf.parts:
                    try:
                        text(values[part] if isinstance(part, int) else part)
                    except TemplateMistake as error:
                        raise InputError([self._at_token(int(part) - len(Slot), error, output, context)]) from error

    def _kind_slots(self, output: Output) -> list[int]:
        """Slots in what is read and not kept."""
        tree = self._read[output.text][1]
        leaves = [tree.get(name) for name in ("kind", "apiVersion")]
        return [leaf.slot for leaf in leaves if isinstance(leaf, Hole)] + [
            part for leaf in leaves if isinstance(leaf, Text) for part in leaf.parts if isinstance(part, int)
        ]

    def _parsed(self, output: Output, context: Mapping[str, Any]) -> tuple[Document, Any]:
        if output.text not in self._read:
            try:
                document, tree = read(output.text, self._template.file, self._template.token_pattern, len(Slot))
            except InputError as error:
                raise InputError([self._in_template(problem, context) for problem in error.problems]) from error
            if document.problems:
                raise InputError([self._in_template(problem, context) for problem in document.problems])
            self._origins.add_all(tree, Origin("template", ()))
            self._read[output.text] = (document, tree)
        return self._read[output.text]

    def _in_template(self, problem: Problem, context: Mapping[str, Any]) -> Problem:
        """A mistake in the template's output, where the template has it."""
        line = self._template.line_of(problem.line, context)
        return self._template.problem(line, problem.field, problem.found, problem.allowed)

    def _new_shape(
        self, pack: Pack, kind: PackKind | None, output: Output, context: Mapping[str, Any], values: Values
    ) -> Shape:
        tree = self._parsed(output, context)[1]
        self._check_texts(tree, output, context, values)
        try:
            whole = expand(tree, values, self._origins)
        except TemplateMistake as error:
            raise InputError([self._template.problem(0, "template", error.found, error.allowed)]) from error
        merged = merge(whole, self._spec, self._namespace, values, self._origins, kind)
        mistakes = list(merged.mistakes)
        if merged.tree:
            quantities_as_text(merged.tree)
            job = fill(merged.tree, values)
            wrong = field_mistakes(job)
            mistakes += wrong
            if all(mistake.key for mistake in wrong):  # unknown fields only, so those it looks at have their types
                mistakes += structure_mistakes(job)
            paths = {mistake.path for mistake in mistakes}
            mistakes += [mistake for mistake in value_mistakes(job) if mistake.path not in paths]
        if mistakes:
            raise InputError([self._placed(mistake, merged.tree, pack) for mistake in mistakes])
        self._notes |= dict.fromkeys(merged.notes)
        return Shape(merged.tree, values)

    # -- places

    def _placed(self, mistake: Mistake, tree: dict[str, Any], pack: Pack) -> Problem:
        """A mistake where its author wrote it: in the sweep file or in the template."""
        origin = mistake.origin or self._origins.of(tree, mistake.path)
        if origin is None:
            return self._template.problem(0, field_name(mistake.path), mistake.found, mistake.allowed)
        if origin.source == "sweep":
            return self._in_file(origin.path, mistake.found, mistake.allowed, key=mistake.key)
        context = self._settings.of(pack)
        document = self._parsed(self._template.render(context), context)[0]
        place = document.place(origin.path, key=mistake.key)
        line = self._template.line_of(place.line, context)
        return self._template.problem(line, field_name(origin.path), mistake.found, mistake.allowed)

    def _in_file(self, path: FieldPath, found: str, allowed: str, *, key: bool = False) -> Problem:
        if self._sweep_file is None:
            self._sweep_file = parse(self._spec.text, str(self._spec.file))
        return self._sweep_file.problem(path, found, allowed, key=key)


def _pinned(pins: Sequence[int], values: Values) -> tuple[str, ...]:
    return tuple([values[slot] if isinstance(values[slot], str) else repr(values[slot]) for slot in pins])


class _Problems:
    """Collects mistakes, each once; trials share most of theirs."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], Problem] = {}

    def add(self, problems: Sequence[Problem] | Iterator[Problem]) -> None:
        for problem in problems:
            key = (problem.file, problem.line, problem.column, problem.field, problem.found)
            self._found.setdefault(key, problem)

    @property
    def are_enough(self) -> bool:
        return len(self._found) >= _MAX_PROBLEMS

    def raise_any(self) -> None:
        """Raises InputError if there is one."""
        if self._found:
            raise InputError(sorted(self._found.values(), key=lambda p: (p.file, p.line, p.column, p.field)))


def check_namespace(namespace: str) -> None:
    """Raises InputError for what can't be the name of one."""
    if namespace and (len(namespace) > 63 or not DNS_LABEL_PATTERN.fullmatch(namespace)):
        raise InputError.of("--namespace", "the name", repr(namespace), "a DNS label of at most 63 characters")
