"""A Job template, the built-in one or a user's: compiled once, rendered per trial to a text with tokens.

Everything that is wrong with it becomes a Problem with the template's file and line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, nodes
from jinja2.exceptions import TemplateAssertionError, TemplateSyntaxError

from kgen.errors import InputError, Problem
from kgen.render.sandbox import CONCAT, COUNTED, Late, Sandbox, TemplateMistake, UnknownName
from kgen.render.unknown import explain

PER_JOB: Final = ("trial", "pack", "command")
"""Variables of which each Job has its own; it has either of the first two."""
_TOKEN: Final = "kgen-value"
_LINE_MARK: Final = "\ue000{}\ue001"
_LINE_MARKS: Final = re.compile("\ue000(\\d+)\ue001")
_REFUSED: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
}


@dataclass(frozen=True, slots=True)
class Output:
    """One rendering: a text whose tokens stand for these values."""

    text: str
    values: tuple[Any, ...]
    varying: tuple[int, ...] | None = None
    """The values that are not the same objects in all renderings with this text; None where any may differ."""


class JobTemplate:
    """A compiled template, for the Jobs of one sweep: their contexts differ in :data:`PER_JOB` only."""

    def __init__(self, text: str, file: str) -> None:
        """Raises InputError for a syntax error or something that no template may do."""
        self.file = file
        self.text = text
        token = _TOKEN
        while token in text:
            token += "x"
        self._sandbox = Sandbox(token)
        self.token_pattern = self._sandbox.token_pattern
        self._template = self._compile(marked=False)
        self._common: dict[int | None, Output] = {}
        """By the deadline, the one setting in which Jobs of different sizes differ."""

    def render(self, context: Mapping[str, Any]) -> Output:
        """What it gives for one Job. Raises InputError when it fails.

        Most templates use a Job's own values only to print them: such a one runs once, with placeholders for them,
        and after that only the values are looked up.
        """
        if not self._only_prints:
            return self._run(context)
        deadline = context.get("kubernetes", {}).get("deadline")
        common = self._common.get(deadline)
        if common is None:
            made = self._run({**context, **{name: Late((name,)) for name in PER_JOB}})
            late = tuple(number for number, value in enumerate(made.values) if isinstance(value, Late))
            common = self._common[deadline] = Output(made.text, made.values, late)
        values = list(common.values)
        try:
            for number in common.varying or ():
                values[number] = values[number].resolve(context)
        except (LookupError, TypeError):
            return self._run(context)  # says what is missing
        return Output(common.text, tuple(values), common.varying)

    def line_of(self, output_line: int, context: Mapping[str, Any]) -> int:
        """The template's line that a line of its output comes from; 0 where that can't be told."""
        marked = self._run(context, self._compile(marked=True)).text
        for number, line in enumerate(marked.split("\n"), 1):
            if number == output_line:
                found = _LINE_MARKS.findall(line)
                return int(found[-1]) if found else 0  # those before it are of lines that gave nothing
        return 0

    def problem(self, line: int, field: str, found: str, allowed: str) -> Problem:
        """A mistake in the template."""
        lines = self.text.split("\n")
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        column = len(source) - len(source.lstrip()) + 1 if line else 0
        return Problem(self.file, line, column, field, found, allowed, source)

    def names(self) -> set[str]:
        """Variables and first keys that it mentions, such as ``image`` and ``kubernetes.queue``."""
        found = set()
        for node in self._sandbox.parse(self.text).find_all((nodes.Name, nodes.Getattr, nodes.Getitem)):
            if isinstance(node, nodes.Name):
                found.add(node.name)
            elif isinstance(node, nodes.Getattr | nodes.Getitem) and isinstance(node.node, nodes.Name):
                key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", "")
                found.add(f"{node.node.name}.{key}")
        return found

    def _compile(self, *, marked: bool) -> JinjaTemplate:
        try:
            tree = self._sandbox.parse(self.text)
            if problems := list(self._refusals(tree)):
                raise InputError(problems)
            self._only_prints = _only_prints(tree)
            self._sandbox.macro_weight = sum(map(_weight, tree.find_all((nodes.Macro, nodes.CallBlock))))
            _count_loops(tree)
            _replace_concats(tree)
            if marked:
                _mark_lines(tree)
            tree.set_environment(self._sandbox)
            code = self._sandbox.compile(tree)
        except TemplateSyntaxError as error:
            raise InputError([self._syntax_problem(error)]) from error
        return JinjaTemplate.from_code(self._sandbox, code, self._sandbox.globals)

    def _refusals(self, tree: nodes.Template) -> Iterator[Problem]:
        for node in tree.find_all(tuple(_REFUSED)):
            word = next(word for kind, word in _REFUSED.items() if isinstance(node, kind))
            yield self.problem(node.lineno, "template", f"{{% {word} %}}", "one file of its own; macros, loops, set")
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                yield self.problem(loop.lineno, "template", "a recursive loop", "loops inside each other")

    def _syntax_problem(self, error: TemplateSyntaxError) -> Problem:
        message = str(error.message).rstrip(".")
        found = re.search(r"No (filter|test) named '(.*)'", message)
        if isinstance(error, TemplateAssertionError) and found:
            known = self._sandbox.filters if found[1] == "filter" else self._sandbox.tests
            names = sorted(name for name in known if name.isidentifier())
            near = "".join(f"; did you mean {name}?" for name in difflib.get_close_matches(found[2], names, 1))
            return self.problem(
                error.lineno, "template", f"the {found[1]} {found[2]!r}", f"one of {', '.join(names)}{near}"
            )
        if expected := re.fullmatch(r"[Ee]xpected (.*), got (.*)", message):
            return self.problem(error.lineno, "template syntax", expected[2], expected[1])
        return self.problem(error.lineno, "template syntax", message[:1].lower() + message[1:], "Jinja's syntax")

    def _run(self, context: Mapping[str, Any], template: JinjaTemplate | None = None) -> Output:
        template = template or self._template
        self._sandbox.begin()
        try:
            made = template.new_context(dict(context))
            text = "".join(self._bounded(template.root_render_func(made)))
        except (UnknownName, TemplateMistake, TemplateError) as error:
            raise InputError([self._failure(error, context, template)]) from error
        except RecursionError as error:
            mistake = TemplateMistake("macros that call each other without end", "calls that end")
            raise InputError([self._failure(mistake, context, template, error.__traceback__)]) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            mistake = TemplateMistake(f"an expression that fails: {error}", "one that has a value")
            raise InputError([self._failure(mistake, context, template, error.__traceback__)]) from error
        return Output(text, tuple(self._sandbox.printed))

    def _bounded(self, pieces: Iterator[str]) -> Iterator[str]:
        for piece in pieces:
            self._sandbox.spend(0, len(piece))
            yield piece

    def _failure(
        self,
        error: Exception,
        context: Mapping[str, Any],
        template: JinjaTemplate,
        traceback: TracebackType | None = None,
    ) -> Problem:
        line = _line(template, traceback or error.__traceback__)
        if isinstance(error, UnknownName):
            return self.problem(line, *explain(error, context, self._sandbox.globals))
        if isinstance(error, TemplateMistake):
            return self.problem(line, "template", error.found, error.allowed)
        return self.problem(line, "template", str(error).rstrip("."), "something that templates may do")


def _line(template: JinjaTemplate, traceback: TracebackType | None) -> int:
    """The template's line that ran last."""
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _only_prints(tree: nodes.Template) -> bool:
    """Whether what differs between Jobs is printed and used for nothing else."""
    printed = {
        id(root)
        for output in tree.find_all(nodes.Output)
        for child in output.nodes
        if (root := _root_of_chain(child)) is not None
    }
    return all(id(name) in printed for name in tree.find_all(nodes.Name) if name.name in PER_JOB) and not any(
        macro.name in PER_JOB for macro in tree.find_all(nodes.Macro)
    )


def _root_of_chain(node: nodes.Node) -> nodes.Name | None:
    """``trial`` of ``trial.parameters["x"]``; None for any other expression."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            return None
        node = node.node
    return node if isinstance(node, nodes.Name) and node.ctx == "load" else None


def _weight(node: nodes.Node) -> int:
    return sum(len(data.data) for data in node.find_all(nodes.TemplateData))


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _count_loops(tree: nodes.Template) -> None:
    """Every turn of a loop counts, and so does the text of its body."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filter(loop.iter, COUNTED, nodes.Const(_weight(loop), lineno=loop.lineno))


def _replace_concats(node: nodes.Node) -> None:
    """``~`` by a filter that knows tokens: Jinja's own would put values into the text of a macro's output."""
    for field, value in node.iter_fields():
        items = value if isinstance(value, list) else [value]
        for i, item in enumerate(items):
            if not isinstance(item, nodes.Node):
                continue
            _replace_concats(item)
            if isinstance(item, nodes.Concat):
                made = _filter(nodes.List(item.nodes, lineno=item.lineno), CONCAT)
                if isinstance(value, list):
                    value[i] = made
                else:
                    setattr(node, field, made)


def _mark_lines(tree: nodes.Template) -> None:
    """Put the template's line number into each line of its text, for :meth:`JobTemplate.line_of`."""
    for data in tree.find_all(nodes.TemplateData):
        first, *rest = data.data.split("\n")
        marked = [_LINE_MARK.format(data.lineno + i) + line for i, line in enumerate(rest, 1)]
        data.data = "\n".join([_LINE_MARK.format(data.lineno) + first if first else first, *marked])
    for output in tree.find_all(nodes.Output):  # a line may begin with a value
        marks = (
            [nodes.TemplateData(_LINE_MARK.format(child.lineno), lineno=child.lineno), child] for child in output.nodes
        )
        output.nodes = [node for pair in marks for node in pair]


def built_in() -> JobTemplate:
    """kgen's own."""
    return JobTemplate(built_in_text(), BUILT_IN_NAME)


BUILT_IN_NAME: Final = "kgen's job.yaml.j2"


def built_in_text() -> str:
    """kgen's own template, for people to edit."""
    import importlib.resources

    return importlib.resources.files("kgen.render").joinpath("templates", "job.yaml.j2").read_text(encoding="utf-8")
