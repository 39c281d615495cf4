"""Values and templates that mean harm."""

from __future__ import annotations

import base64
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jinja2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kgen.errors import InputError
from kgen.render import render
from kgen.render.sandbox import MAX_STEPS
from kgen.render.template import JobTemplate
from kgen.spec import TrialSpec
from kgen.sweep import expand
from tests.unit.render.rendering import differences, messages, spec, template

SPICES = [
    "\n", "\r\n", "---", "...", "{{ 7 * 7 }}", "{% endif %}", "{#", ": ", "- ", "&a", "*a", "!!python/object", "#", "'",
    '"', "\\", "\0", "\x85", "\u2028", "\ufeff", "\t", "|", ">", "<<: ", "]", "}", ",", "$(HOME)", "$$", "%s",
    "kgen-value-0-end", "kgen-value-9-end", "<script>", "&amp;", "é", "😀", "~", "null", "0644", "1e-6",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(SPICES) | st.text(max_size=8), min_size=1, max_size=8).map("".join)

OWN = spec(
    template=template(
        container="command: [sh]\nargs: [run, '--x={{ trial.parameters.a }}', '{{ trial.parameters | tojson }}']\n"
        "env:\n"
        "  - name: ALONE\n    value: {{ trial.parameters.a }}\n"
        '  - name: QUOTED\n    value: "{{ trial.parameters.a }}"\n'
        "  - name: BLOCK\n    value: |\n      first\n      {{ trial.parameters.a }}\n"
        "  - name: JOINED\n    value: {{ 'x' ~ trial.parameters.a }}\n"
        "{% macro m(v) %}<{{ v }}>{% endmacro %}\n"
        '  - name: MACRO\n    value: "{{ m(trial.parameters.a) ~ trial.parameters.a }}"\n',
    )
)
BUILT_IN = spec(trainer="{image: r/x, command: [train, '--a={a}', '{a}'], arguments: flags}")


def made(own: bool, value: str) -> dict[str, Any]:
    sweep = OWN if own else BUILT_IN
    trial = replace(expand(sweep)[0], parameters=MappingProxyType({"a": value}))
    (manifest,) = render(sweep, [trial]).jobs
    return manifest.object()


BASE = {own: made(own, "base") for own in (True, False)}


@given(HOSTILE)
@example("x" * 60_000)
def test_a_value_changes_its_own_leaves_in_a_users_template(value: str) -> None:
    found = made(True, value)
    changed = {path[-1] if path[-1] != "value" else path[-2] for path in differences(BASE[True], found)}
    changed -= {"kgen.dev/spec"}
    only = found["spec"]["template"]["spec"]["containers"][0]
    indices = {item["name"]: i for i, item in enumerate(only["env"])}
    written = ["KGEN_TRIAL", "ALONE", "QUOTED", "BLOCK", "JOINED", "MACRO"]
    assert changed <= {"kgen.dev/parameters", 1, 2, *(indices[name] for name in written)}
    twice = value.replace("$", "$$")
    values = {item["name"]: item.get("value") for item in only["env"]}
    assert only["args"][1] == f"--x={twice}"
    assert (values["ALONE"], values["QUOTED"], values["JOINED"]) == (twice, twice, f"x{twice}")
    assert values["BLOCK"] == f"first\n{twice}\n"
    assert values["MACRO"] == f"<{twice}>{twice}"
    assert TrialSpec.from_json(values["KGEN_TRIAL"].replace("$$", "$")).parameters == {"a": value}


@given(HOSTILE)
def test_a_value_changes_its_own_leaves_in_the_built_in_one(value: str) -> None:
    found = made(False, value)
    for path in differences(BASE[False], found):
        assert (
            path[-1] in ("kgen.dev/spec", "kgen.dev/parameters")
            or path[-2] == "command"
            or path[-3:] == ("env", 0, "value")
        )
    command = found["spec"]["template"]["spec"]["containers"][0]["command"]
    twice = value.replace("$", "$$")
    assert command == ["train", f"--a={twice}", twice, f"--a={twice}"]


def test_a_megabyte_is_refused_with_its_size() -> None:
    trial = replace(expand(BUILT_IN)[0], parameters=MappingProxyType({"a": "x" * 1_000_000}))
    with pytest.raises(InputError) as caught:
        render(BUILT_IN, [trial])
    assert [str(problem) for problem in caught.value.problems] == [
        "sweep.yaml:3:13: parameters: found 1,000,008 bytes in one trial, allowed at most 131,072",
        "sweep.yaml:3:13: parameters: found 1,000,276 bytes in one trial, allowed at most 130,048, what a variable of "
        "the "
        "environment can hold",
    ]


def test_a_large_config_is_named_too() -> None:
    made = spec(trainer=f"{{image: r/x, config: {{words: [{', '.join(['word'] * 19_000)}]}}}}")
    with pytest.raises(InputError, match=r"trainer\.config: found 133,\d+ bytes in one trial"):
        render(made, expand(made))


# What is known to have got out of Jinja's sandbox, and the roads that people try first.
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ trial | attr('__class__') }}",
    "{{ ['x'] | map(attribute='__class__') | list }}",
    "{{ ['x'] | map('attr', '__class__') | list }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(trial) }}",  # CVE-2016-10745
    "{{ '{x.__class__}'.format_map({'x': trial}) }}",  # CVE-2019-10906
    "{% set f = 'a{x.__class__}'.format %}{{ f(x=trial) }}",  # CVE-2024-56326
    "{{ ('a{x.__class__}' | attr('format'))(x=trial) }}",  # CVE-2025-27516
    "{{ ['{0.__class__}'] | map('format', trial) | list }}",
    "{{ '%s' | format(trial.__class__) }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ dict.mro() }}",
    "{{ dict.fromkeys }}",
    "{{ trial.parameters.update({'a': 1}) }}",
    "{{ trial.parameters.pop('a') }}",
    "{{ tolerations.append(1) }}",
    "{{ config }}",
    "{{ request }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import path %}",
    "{% extends 'x' %}",
    "{% block x %}{% endblock %}",
    "{% autoescape false %}x{% endautoescape %}",
    "{{ '<' | safe }}",
    "{{ '<' | escape }}",
    "{{ '<' | forceescape }}",
    "{{ 'x' | pprint }}",
    "{{ {} | xmlattr }}",
    "{{ 'http://x' | urlize }}",
    "{{ 'x' | wordwrap }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{{ m() }}",
    "{% macro m() %}x{% endmacro %}{{ m.__func__ }}",
    "{% macro m() %}{{ varargs.__class__ }}{% endmacro %}{{ m(1) }}",
    "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
    "{% set ns = namespace() %}{{ ns.__class__ }}",
    "{{ (trial.items)().__class__ }}",
    "{{ trial.items.__self__ }}",
    "{{ ().__class__.__base__ }}",
    "{{ (1).__class__ }}",
    "{{ true.__class__ }}",
    "{{ 'x'.encode() }}",
    "{{ 'x'.translate({}) }}",
    "{{ ['a', 'b'] | sort(attribute='__class__') }}",
    "{{ ['a'] | selectattr('__class__') | list }}",
    "{{ ['a'] | groupby('__class__') }}",
    "{{ self }}",
    "{{ trial.items }}",
    "{{ range }}",
    "{{ namespace() }}",
]

ENDLESS = [
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
    "{% set r = range(1000) %}{% for i in r %}{% for j in r %}{% for k in r %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{% for i in range(90000) %}" + "x" * 1000 + "{% endfor %}",
    "{% macro m() %}" + "x" * 1000 + "{% endmacro %}{% for i in range(40000) %}{% set y = m() %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s=99) %}{% for i in range(99) %}{% set ns.s = ns.s * ns.s %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s | replace('a', ns.s) %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}"
    "{% set ns.s = x %}{% endfor %}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 9 ** 99999999 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ 'x'.ljust(999999999) }}",
    "{{ 'x'.center(999999999) }}",
    "{{ 'x' | center(999999999) }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ 'x' | indent(999999999, first=true) }}",
    "{{ range(999999999) | list }}{{ range(999999999) | sum }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_a_template_gets_at_nothing_but_its_values(text: str) -> None:
    (first, *_) = messages(template=template(value="x") + text)
    assert first.startswith("job.j2:11:1: ")


@pytest.mark.parametrize("text", ENDLESS)
def test_a_template_comes_to_an_end(text: str) -> None:
    assert messages(template=template(value="x") + text)[0].startswith("job.j2:")


def test_the_values_of_a_job_are_not_changed_by_a_template() -> None:
    mutated = template(value="x") + "\n# {{ trial.parameters.get('a') }} {% set _ = kubernetes.keys() %}"
    sweep = spec(template=mutated)
    assert len(render(sweep, expand(sweep)).jobs) == 2


def test_bounds_leave_room_for_real_templates() -> None:
    many = "{% for i in range(2000) %}\n- {name: V{{ i }}, value: '{{ i * 2 }}'}\n{% endfor %}"
    sweep = spec(template=template(container=f"env:\n{many}"))
    env = render(sweep, expand(sweep)).jobs[0].object()["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[-1] == {"name": "V1999", "value": "3998"}
    assert MAX_STEPS > 10 * 4000


def test_yaml_bombs_are_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    (refused,) = messages(template=bomb)
    assert "found more than 50,000 values" in refused


def test_a_text_that_looks_like_a_token_stays_text() -> None:
    sweep = spec(template=template(value="kgen-value-0-end-{{ trial.parameters.a }}"))
    env = render(sweep, expand(sweep)).jobs[0].object()["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[-1]["value"] == "kgen-value-0-end-1"


def test_the_sandbox_of_the_oldest_jinja_that_is_allowed_is_closed() -> None:
    assert tuple(map(int, jinja2.__version__.split(".")[:3])) >= (3, 1, 6)


def test_the_name_of_a_template_is_no_code() -> None:
    """CVE-2024-56201 got from a template's name and text into the compiled code."""
    name = "x\nimport os\n'''" + base64.b64encode(b"x").decode()
    assert JobTemplate("{{ 1 }}", name).render({}).values == (1,)
