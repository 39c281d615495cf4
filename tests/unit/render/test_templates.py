"""A user's own template: how values get in, and what kgen adds and changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgen.packs import Pack
from kgen.render.settings import Settings
from kgen.render.template import built_in_text
from kgen.render.tree import Origins
from kgen.sweep import expand
from tests.unit.render.rendering import container, environment, job, jobs, messages, pod, rendered, spec, template

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "templates.md"


def value(expression: str, *, parameters: str = "{a: [1]}") -> Any:
    """What a variable of the environment becomes that has this in the template."""
    return environment(template=template(value=expression), parameters=parameters)["X"]


@pytest.mark.parametrize(
    ("expression", "parameters", "expected"),
    [
        ("{{ trial.parameters.a }}", "{a: ['x: y']}", "x: y"),
        ("'{{ trial.parameters.a }}'", "{a: [1e-3]}", "1e-3"),
        ('"--rate={{ trial.parameters.a }}"', "{a: [.5]}", "--rate=.5"),
        ("--rate={{ trial.parameters.a }}", "{a: [true]}", "--rate=true"),
        ("'{{ trial.parameters | tojson }}'", "{a: ['\"']}", '{"a":"\\""}'),
        ("--p={{ trial.parameters | tojson }}", "{a: [1e-3]}", '--p={"a":1e-3}'),
        ("'{{ trial.parameters.items }}'", "{items: [7]}", "7"),
        ("'{{ trial.parameters[\"a-b\"] }}'", "{a-b: [7]}", "7"),
        ("{{ trial.parameters.a | upper }}", "{a: [x]}", "X"),
        ("{{ 'n-' ~ trial.parameters.a ~ '-' ~ trial.seed }}", "{a: [1.50]}", "n-1.50-0"),
        ("{{ trial.parameters.b | default('none') }}", "{a: [1]}", "none"),
        ("'{{ trial.parameters | length }}'", "{a: [1], b: [2]}", "2"),
        ("{{ trial.parameters | list | join(',') }}", "{a: [1], b: [2]}", "a,b"),
        ("{{ sweep.name }}/{{ trial.stage }}/{{ trial.name[:6] }}", "{a: [1]}", "sweep/main/sweep-"),
        ("'{{ trial.budget.steps }}'", "{a: [1]}", "10"),
        ("{{ trial.parameters.a.split('-')[1] }}", "{a: [x-y]}", "y"),
        ("'{{ trial.parameters.a + 1 }}'", "{a: [41]}", "42"),
        ("yes", "{a: [1]}", "yes"),
    ],
)
def test_a_value_is_put_in_as_it_is(expression: str, parameters: str, expected: str) -> None:
    assert value(expression, parameters=parameters) == expected


def test_alone_and_without_quotes_a_value_keeps_its_type() -> None:
    found = pod(
        template=template(
            "terminationGracePeriodSeconds: {{ trial.parameters.a }}\nhostNetwork: {{ trial.parameters.b }}\n"
            "tolerations: {{ tolerations }}\nnodeSelector: {{ {'rack': trial.parameters.a | string} | tojson }}"
        ),
        parameters="{a: [7], b: [true]}",
    )
    assert (found["terminationGracePeriodSeconds"], found["hostNetwork"]) == (7, True)
    assert found["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert found["nodeSelector"] == {"rack": "7"}


def test_loops_macros_and_blocks_hold_values_too() -> None:
    own = """\
{% macro variable(name, value) %}
- name: {{ name }}
  value: {{ value }}
{% endmacro %}
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      containers:
        - image: registry.example/x:1
          env:
{% for name, value in trial.parameters.items() %}
            {{ variable(name | upper, value ~ '') | indent(12) }}
{% endfor %}
{% set all %}{{ trial.parameters.a }}/{{ trial.parameters.b }}{% endset %}
            - {name: ALL, value: '{{ all ~ "!" }}'}
"""
    found = container(template=own, parameters="{a: ['x: ]'], b: [2]}")
    variables = {item["name"]: item.get("value") for item in found["env"]}
    assert (variables["A"], variables["B"], variables["ALL"]) == ("x: ]", "2", "x: ]/2!")


def test_a_value_can_be_a_key() -> None:
    found = pod(template=template("nodeSelector:\n  rack-{{ trial.parameters.a }}: 'yes'"), parameters="{a: [7]}")
    assert found["nodeSelector"] == {"rack-7": "yes"}
    (twice,) = messages(template=template("nodeSelector:\n  rack-1: a\n  rack-{{ trial.parameters.a }}: b"))
    assert "found the key rack-1 twice, allowed each key once" in twice


def test_trials_may_have_different_forms() -> None:
    made = jobs(
        template=template("{% if trial.parameters.a > 1 %}\nhostNetwork: true\n{% endif %}"),
        parameters="{a: [1, 2, 3]}",
    )
    assert ["hostNetwork" in one["spec"]["template"]["spec"] for one in made] == [False, True, True]


def test_what_differs_between_trials_is_checked_for_each() -> None:
    labelled = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {labels: {x: '{{ trial.parameters.a }}'}}\n"
        + template()[len("apiVersion: batch/v1\nkind: Job\n") :]
    )
    (refused,) = messages(template=labelled, parameters="{a: [ok, 'not ok']}")
    assert refused.startswith("job.j2:3:1: metadata.labels.x: found the text 'not ok', allowed the value of a label")
    (refused,) = messages(template=template("dnsPolicy: {{ trial.parameters.a }}"), parameters="{a: [Default, Defalt]}")
    assert refused.startswith("job.j2:6:7: spec.template.spec.dnsPolicy: found the text 'Defalt'")
    (refused,) = messages(
        template=template(
            "volumes: [{name: x}]", container="volumeMounts: [{name: '{{ trial.parameters.a }}', mountPath: /x}]"
        ),
        parameters="{a: [x, y]}",
    )
    assert "found the text 'y', allowed the name of a volume: x, kgen-results" in refused


def test_a_type_that_only_some_trials_have_is_found() -> None:
    (wrong,) = messages(template=template(value="{{ trial.parameters.a }}"), parameters="[{a: [x]}, {a: [1]}]")
    assert wrong.endswith("env[0].value: found 1, allowed text: put it in quotes")


def test_commands_may_differ_in_length() -> None:
    made = jobs(
        trainer="{image: r/x, command: [train], arguments: flags}", parameters="[{a: [1]}, {a: [2], b: [3]}, {a: [4]}]"
    )
    commands = [one["spec"]["template"]["spec"]["containers"][0]["command"] for one in made]
    assert commands == [["train", "--a=1"], ["train", "--a=2", "--b=3"], ["train", "--a=4"]]


def test_a_template_needs_nothing_of_kgens() -> None:
    made = job(template=template(), kubernetes="{deadline: 60, queue: q, labels: {team: ml}}")
    assert made["metadata"]["labels"]["kgen.dev/trial"]
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert made["spec"]["template"]["metadata"]["labels"]["team"] == "ml"
    assert (made["spec"]["backoffLimit"], made["spec"]["podReplacementPolicy"], made["spec"]["suspend"]) == (
        2,
        "Failed",
        True,
    )
    assert made["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [64, 66]
    only = made["spec"]["template"]["spec"]["containers"][0]
    assert made["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 60
    assert only["command"] == ["python", "-m", "kgen_trainer"]
    assert only["volumeMounts"] == [{"name": "kgen-results", "mountPath": "/results"}]
    assert {item["name"] for item in only["env"]} >= {"KGEN_TRIAL", "KGEN_RESULTS", "KGEN_ATTEMPT"}


def test_what_a_template_says_itself_stays() -> None:
    own = template("activeDeadlineSeconds: 5", container="command: [mine]\nworkingDir: /mine").replace(
        "spec:\n  template", "spec:\n  backoffLimit: 9\n  podReplacementPolicy: TerminatingOrFailed\n  template"
    )
    made = job(template=own, kubernetes="{deadline: 60}", trainer="{image: r/x, files: [f]}", files={"f": b""})
    assert (made["spec"]["backoffLimit"], made["spec"]["podReplacementPolicy"]) == (9, "TerminatingOrFailed")
    found = made["spec"]["template"]["spec"]
    assert found["activeDeadlineSeconds"] == 5
    assert (found["containers"][0]["command"], found["containers"][0]["workingDir"]) == (["mine"], "/mine")
    assert found["containers"][0]["image"] == "registry.example/x:1"


def test_the_container_that_trains_is_called_so_or_the_first() -> None:
    two = template().replace("containers:", "containers:\n        - {name: proxy, image: r/proxy}")
    made = pod(template=two)["containers"]
    assert ["env" in one for one in made] == [False, True]
    made = pod(template=two.replace("name: trainer", "name: other"))["containers"]
    assert ["env" in one for one in made] == [True, False]


def test_a_change_to_what_the_template_says_is_noted() -> None:
    own = """\
apiVersion: batch/v1
kind: Job
metadata:
  generateName: x-
  namespace: elsewhere
  uid: 1-2
  labels: {app.kubernetes.io/name: mine, mine: a}
spec:
  completions: 5
  parallelism: 2
  completionMode: Indexed
  template:
    spec:
      restartPolicy: OnFailure
      containers:
        - image: registry.example/x:1
          args: [a]
          env: [{name: KGEN_TRIAL, value: mine}, {name: MINE, value: x}]
status: {active: 1}
"""
    notes = rendered(template=own, kubernetes="{node_selector: {a: b}}").notes
    assert notes == (
        "status: dropped, it is the cluster's to write",
        "metadata.labels: app.kubernetes.io/name is kgen's to set",
        "metadata: generateName, namespace, uid dropped; kgen names its objects, --namespace says where",
        "spec.completions: 5 becomes 1, each trial has a Job of its own",
        "spec.parallelism: 2 becomes 1, each trial has a Job of its own",
        "spec: completionMode dropped, each trial has a Job of one pod",
        "restartPolicy: OnFailure becomes Never, each attempt of a trial is a pod of its own",
        "args without a command: dropped, trainer.command has all words",
        "image: the template's registry.example/x:1 runs, not trainer.image",
        "env: KGEN_TRIAL of the template is replaced by the sweep file's",
        "kubernetes.node_selector: the template job.j2 does not use it",
    )
    made = job(template=own)
    assert made["metadata"]["labels"]["mine"] == "a"
    assert made["metadata"]["name"].startswith("sweep-")
    assert "completionMode" not in made["spec"]
    assert environment(template=own)["MINE"] == "x"
    assert (
        rendered(template=own.replace("elsewhere", "here"), namespace="here").jobs[0].object()["metadata"]["namespace"]
        == "here"
    )


def test_the_built_in_template_has_nothing_to_note() -> None:
    assert rendered().notes == ()
    assert rendered(template=built_in_text()).notes == ()


SHARED = "volumes: [{name: shared, mount_path: /shared, source: {nfs: {server: files, path: /}}}]"


def test_the_built_in_template_as_ones_own_gives_the_same_jobs() -> None:
    kubernetes = f"{{gpu: {{family: hopper}}, ttl_seconds_after_finished: 60, resources: {{cpu: 1}}, {SHARED}}}"
    own, built_in = (
        rendered(template=text, kubernetes=kubernetes, results="/shared").jobs for text in (built_in_text(), None)
    )
    assert [manifest.text for manifest in own] == [manifest.text for manifest in built_in]


def test_a_pod_becomes_a_job() -> None:
    made = job(
        template="apiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {a: b}}\n"
        "spec: {containers: [{name: c, image: r/x}]}"
    )
    assert (made["kind"], made["apiVersion"]) == ("Job", "batch/v1")
    assert made["spec"]["template"]["metadata"]["labels"]["a"] == "b"
    assert "name" not in made["spec"]["template"]["metadata"]
    (wrong,) = messages(
        template="apiVersion: v1\nkind: Pod\nspec:\n  dnsPolici: x\n  containers: [{name: c, image: r/x}]"
    )
    assert wrong.startswith("job.j2:4:3: spec.dnsPolici: found an unknown field 'dnsPolici'")


def test_seconds_need_a_template_that_asks_for_an_unshared_gpu() -> None:
    seconds = {"objective": "{metric: seconds_to_target}"}
    gpu = "resources: {limits: {nvidia.com/gpu: 1}}"
    (refused,) = messages(template=template(container=gpu), **seconds)
    assert (
        "found seconds_to_target with a template that also takes shared GPUs, allowed affinity: {{ affinity }}"
        in refused
    )
    found = environment(template=template("affinity: {{ affinity }}", container=gpu), **seconds)
    assert (found["KGEN_TIMING"], found["KGEN_GPUS"]) == ("exclusive", "1")


def test_quantities_may_be_numbers() -> None:
    found = container(
        template=template(container="resources: {limits: {cpu: 1.5, nvidia.com/gpu: '{{ trial.parameters.a }}'}}")
    )
    assert found["resources"]["limits"] == {"cpu": "1.5", "nvidia.com/gpu": "1"}
    found = container(template=template(container="resources: {limits: {nvidia.com/gpu: {{ trial.parameters.a }}}}"))
    assert found["resources"]["limits"] == {"nvidia.com/gpu": "1"}


def test_ttl_is_refused_where_a_finished_job_is_all_that_is_seen() -> None:
    own = template().replace("spec:\n  template", "spec:\n  ttlSecondsAfterFinished: 5\n  template")
    (refused,) = messages(template=own)
    assert refused.startswith(
        "job.j2:4:3: spec.ttlSecondsAfterFinished: found 5 with results in a claim, allowed nothing"
    )
    assert job(template=own, results="gs://bucket")["spec"]["ttlSecondsAfterFinished"] == 5  # rows are seen there


def test_an_empty_optional_value_may_be_null() -> None:
    assert pod(template=template("affinity: {{ affinity }}"))["affinity"] is None


def test_the_context_is_what_the_documentation_lists() -> None:
    made = spec()
    trials = expand(made)
    settings = Settings(made, Origins())
    documented = DOCUMENTATION.read_text(encoding="utf-8")
    names: list[str] = []
    for pack, variable in ((Pack.single(trials[0]), "trial"), (Pack("aaaaaaaaaa", trials), "pack")):
        context = settings.of(pack)
        names += [*context, *(f"{variable}.{name}" for name in context[variable])]
    assert [name for name in names if f"`{name}`" not in documented] == []


def test_the_documented_template_works() -> None:
    own = DOCUMENTATION.read_text(encoding="utf-8").rpartition("```yaml\n")[2].partition("```")[0]
    made = rendered(template=own)
    assert [note for note in made.notes if "does not use" not in note] == []
    assert len(made.jobs[0].object()["spec"]["template"]["spec"]["initContainers"]) == 1
