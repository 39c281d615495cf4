"""Mistakes that only a cluster would see: all at once, where their author wrote them, in kgen's words."""

from __future__ import annotations

import pytest

from tests.unit.render.rendering import messages, rendered, template


def test_mistakes_in_the_sweep_file_name_its_lines() -> None:
    kubernetes = (
        "\n  tolerations:\n  - {key: x, operater: Exists}\n  - {key: y, operator: Exist}\n"
        "  - {key: z, tolerationSeconds: '3'}\n"
        "  affinity:\n    nodeAffinty: {}\n"
        "  resource_claims:\n  - {name: gpu, resourceClaimTemplateNam: x}\n"
        "  volumes:\n  - name: data\n    mount_path: /data\n    source: {persistentVolumClaim: {claimName: x}}"
    )
    assert messages(kubernetes=kubernetes) == [
        "sweep.yaml:9:14: kubernetes.tolerations[0].operater: found an unknown field 'operater', allowed one of "
        "effect, key, "
        "operator, tolerationSeconds, value; did you mean operator?",
        "sweep.yaml:10:24: kubernetes.tolerations[1].operator: found the text 'Exist', allowed one of Exists, Equal, "
        "Lt, Gt; "
        "did you mean Exists?",
        "sweep.yaml:11:33: kubernetes.tolerations[2].tolerationSeconds: found the text '3', allowed a whole number",
        "sweep.yaml:13:5: kubernetes.affinity.nodeAffinty: found an unknown field 'nodeAffinty', allowed one of "
        "nodeAffinity, "
        "podAffinity, podAntiAffinity; did you mean nodeAffinity?",
        "sweep.yaml:15:17: kubernetes.resource_claims[0].resourceClaimTemplateNam: found an unknown field "
        "'resourceClaimTemplateNam', allowed one of name, resourceClaimName, resourceClaimTemplateName; did you mean "
        "resourceClaimTemplateName?",
        "sweep.yaml:19:14: kubernetes.volumes[0].source.persistentVolumClaim: found an unknown field "
        "'persistentVolumClaim', "
        "allowed a field of Volume; did you mean persistentVolumeClaim?",
    ]


def test_they_are_found_in_an_affinity_that_kgen_added_to() -> None:
    for gpu in ("{}", "{family: hopper}"):
        (wrong,) = messages(
            kubernetes=f"\n  gpu: {gpu}\n  affinity:\n    nodeAffinity:\n"
            "      requiredDuringSchedulingIgnoredDuringExecution:\n        nodeSelectorTerms:\n"
            "        - matchExpressions:\n          - {key: a, operator: In}\n"
            "          - {key: b, operator: Exists}"
        )
        assert wrong.startswith("sweep.yaml:14:13: kubernetes.affinity.nodeAffinity")
        assert wrong.endswith("found no values, allowed at least one for In")
        (wrong,) = messages(
            kubernetes=f"\n  gpu: {gpu}\n  affinity:\n    nodeAffinity:\n"
            "      requiredDuringSchedulingIgnoredDuringExecution:\n        nodeSelectorTerms:\n"
            "        - matchExpressions:\n          - x"
        )
        assert wrong.startswith("sweep.yaml:14:13: kubernetes.affinity.nodeAffinity")
        (wrong,) = messages(kubernetes=f"\n  gpu: {gpu}\n  affinity: {{nodeAffinity: [x]}}")
        assert wrong == "sweep.yaml:9:28: kubernetes.affinity.nodeAffinity: found a list of 1, allowed a mapping"


@pytest.mark.parametrize(
    ("affinity", "said"),
    [
        ("{key: a, operator: in, values: [x]}", "found the text 'in', allowed one of In, NotIn, Exists"),
        ("{key: a, operator: Exists, values: [x]}", "found a list of 1, allowed no values for Exists"),
        ("{key: a, operator: Gt, values: [x]}", "allowed one whole number in quotes for Gt"),
        ("{key: a, operator: Gt, values: [8]}", "found 8, allowed text: put it in quotes"),
        ("{key: 'a b', operator: Exists}", "found the text 'a b', allowed a key of Kubernetes"),
    ],
)
def test_expressions_must_make_sense(affinity: str, said: str) -> None:
    terms = f"[{{matchExpressions: [{affinity}]}}]"
    required = f"{{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: {terms}}}}}"
    assert said in messages(kubernetes=f"{{affinity: {{nodeAffinity: {required}}}}}")[0]


@pytest.mark.parametrize(
    ("toleration", "said"),
    [
        ("{key: a, operator: Exists, value: b}", "tolerations[0].value: found b with the operator Exists"),
        ("{effect: NoSchedule}", "tolerations[0]: found a toleration without a key"),
        ("{key: a, effect: Noschedule}", "did you mean NoSchedule?"),
        (
            "{key: a, tolerationSeconds: 3}",
            "found tolerationSeconds with the effect of any kind, allowed the effect NoExecute",
        ),
    ],
)
def test_tolerations_must_make_sense(toleration: str, said: str) -> None:
    (wrong,) = messages(kubernetes=f"{{tolerations: [{toleration}]}}")
    assert said in wrong
    assert wrong.startswith("sweep.yaml:7:")


def test_volumes_must_fit_together() -> None:
    config_map = "{configMap: {name: x, defaultMode: 0644}}"
    (wrong,) = messages(kubernetes=f"{{volumes: [{{name: a, mount_path: /a, source: {config_map}}}]}}")
    assert wrong.endswith(
        "defaultMode: found 0644, a number that not everybody reads as the same, allowed 420 (as kubectl reads it), "
        '644, or "0644" for text'
    )
    (wrong,) = messages(kubernetes="{volumes: [{name: scratch, mount_path: /a, source: {emptyDir: {}}}]}")
    assert wrong.startswith("sweep.yaml:7:")
    assert "kubernetes.volumes[0].source.name: found scratch again, allowed each name once" in wrong
    (wrong,) = messages(kubernetes="{volumes: [{name: a, mount_path: /tmp, source: {emptyDir: {}}}]}")
    assert "found /tmp again, allowed each mountPath once" in wrong


def test_mistakes_in_a_template_name_its_lines() -> None:
    own = """\
apiVersion: batch/v1
kind: Job
metadata:
  labels: {a b: x}
spec:
  backofLimit: 2
  template:
    spec:
      host_network: true
{% for name in ['one', 'two'] %}
{% endfor %}
      dnsPolicy: Cluster
      hostNetwork: "true"
      containers:
        - name: Trainer
          imagePullPolicy: allways
          env:
            - {name: A, value: {{ trial.seed }}}
            - {name: B, value: 1}
            - {name: B, value: "1"}
            - {name: 1B, value: "1"}
          resources: {limits: {cpu: 2 cores}}
          volumeMounts: [{name: dta, mountPath: data}]
"""
    assert [message.removeprefix("job.j2:") for message in messages(template=own)] == [
        "4:3: metadata.labels.a b: found the text 'a b', allowed a key of Kubernetes: letters, digits, '-', '_', '.', "
        "after "
        "an optional domain and '/'",
        "6:3: spec.backofLimit: found an unknown field 'backofLimit', allowed one of activeDeadlineSeconds, "
        "backoffLimit, backoffLimitPerIndex, completionMode, completions, managedBy, manualSelector, maxFailedIndexes, "
        "parallelism, podFailurePolicy, podReplacementPolicy, scheduling, selector, successPolicy, suspend, template, "
        "ttlSecondsAfterFinished; did you mean backoffLimit?",
        "9:7: spec.template.spec.host_network: found an unknown field 'host_network', allowed a field of PodSpec; did "
        "you "
        "mean hostNetwork?",
        "12:7: spec.template.spec.dnsPolicy: found the text 'Cluster', allowed one of ClusterFirst, "
        "ClusterFirstWithHostNet, Default, None; did you mean ClusterFirst?",
        "13:7: spec.template.spec.hostNetwork: found the text 'true', allowed true or false",
        "15:9: spec.template.spec.containers[0].name: found the text 'Trainer', allowed a DNS label of at most 63 "
        "characters: lower-case letters, digits and '-', beginning and ending with a letter or digit",
        "16:11: spec.template.spec.containers[0].imagePullPolicy: found the text 'allways', allowed one of Always, "
        "IfNotPresent, Never; did you mean Always?",
        "18:13: spec.template.spec.containers[0].env[0].value: found 0, allowed text: put it in quotes",
        "19:13: spec.template.spec.containers[0].env[1].value: found 1, allowed text: put it in quotes",
        "21:13: spec.template.spec.containers[0].env[3].name: found the text '1B', allowed letters, digits, '_', '-' "
        "and "
        "'.', not beginning with a digit",
        "22:11: spec.template.spec.containers[0].resources.limits.cpu: found the text '2 cores', allowed a quantity of "
        "Kubernetes, such as 2, 500m or 4Gi",
        "23:11: spec.template.spec.containers[0].volumeMounts[0].mountPath: found the text 'data', allowed an "
        "absolute path "
        "without ':'",
    ]


def test_what_must_fit_together_in_a_template() -> None:
    own = template(
        "volumes:\n  - {name: data, emptyDir: {}, hostPath: {path: /x}}",
        container="env:\n  - {name: B, value: '1'}\n  - {name: B, value: '2'}\n"
        "  - {name: C, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n"
        "volumeMounts: [{name: dta, mountPath: /x}]\n"
        "resources: {requests: {nvidia.com/gpu: 1}, claims: [{name: g}]}",
    )
    assert [message.split(": ", 1)[1] for message in messages(template=own)] == [
        "spec.template.spec.volumes[0]: found emptyDir and hostPath, allowed one source of a volume",
        "spec.template.spec.containers[0].env[1].name: found B again, allowed each name once",
        "spec.template.spec.containers[0].env[2]: found value and valueFrom, allowed one of them",
        "spec.template.spec.containers[0].volumeMounts[0].name: found the text 'dta', allowed the name of a volume: "
        "data, "
        "kgen-results; did you mean data?",
        "spec.template.spec.containers[0].resources.claims[0].name: found the text 'g', allowed the name of a "
        "resource claim: "
        "there is none",
        "spec.template.spec.containers[0].resources.requests.nvidia.com/gpu: found 1 with the limit nothing, allowed "
        "the same "
        "as its limit",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", " the file: found nothing, allowed a Job: a mapping with apiVersion, kind, spec"),
        ("[]", "1:1: the file: found an empty list, allowed a Job: a mapping with apiVersion, kind, spec"),
        ("kind: Job", "1:1: apiVersion: found nothing, allowed batch/v1"),
        ("apiVersion: v1\nkind: List", "2:1: kind: found the text 'List', allowed Job or Pod"),
        ("apiVersion: v1\nkind: {{ sweep.name }}", "2:1: kind: found the text 'sweep', allowed Job or Pod"),
        ("apiVersion: batch/v1beta1\nkind: Job", "1:1: apiVersion: found the text 'batch/v1beta1', allowed batch/v1"),
        ("a: 1\n---\nb: 1", "2:1: the file: found a second document, allowed one YAML document"),
        ("a: 1\n{{ trial.id }}: 2\n{{ trial.id }}: 3", " template: found the key "),
        ("a: 1\na: 2", "2:1: a: found the key again, allowed each key once (first on line 1)"),
        ("a: b: c", "1:1: YAML syntax: found a ':' that can't stand here"),
        ("a: 0644", '1:1: a: found 0644, a number that not everybody reads as the same, allowed 420 (as kubectl reads '
         'it), 644, or "0644" for text'),
        ("a: 08", '1:1: a: found 08, a number that not everybody reads as the same, allowed 8, or "08" for text'),
        ("{% if %}", "1:1: template syntax: found 'end of statement block', allowed an expression"),
        ("x\n{% if true %}", "2:1: template syntax: found unexpected end of template"),
        ("x\n\n{{ 1 | uper }}", "3:1: template: found the filter 'uper', allowed one of "),
        ("{{ imag }}", "1:1: imag: found a name that does not exist, allowed one of sweep, image, kubernetes, "),
        ("{{ kubernetes.nodeselector }}", "1:1: kubernetes.nodeselector: found a name that does not exist"),
        ("{{ trial.parameters.b }}", "1:1: trial.parameters.b: found a name that does not exist, allowed one of a"),
        ("{{ 'a' + 1 }}", "1:1: template: found an expression that fails: "),
        ("{{ kubernetes ~ 'x' }}", "1:1: template: found a mapping in a text, allowed text or a number; a list with "),
        ("a: x{{ kubernetes }}", "1:1: template: found a mapping in a text, allowed text or a number; a list with "),
        ("{{ {1: 2} }}", "1:1: template: found a mapping with keys that are not text, allowed text keys"),
    ],
)  # fmt: skip
def test_what_can_not_be_a_job(text: str, said: str) -> None:
    assert messages(template=text)[0].removeprefix("job.j2:").startswith(said)


def test_a_mistake_of_one_trial_is_said_once() -> None:
    (wrong,) = messages(
        template=template(value="{{ trial.parameters.b }}"), parameters="[{a: [1], b: [x]}, {a: [2, 3, 4]}]"
    )
    assert "trial.parameters.b: found a name that does not exist, allowed one of a" in wrong


def test_mistakes_in_file_and_template_come_together() -> None:
    found = messages(template=template("dnsPolicy: x"), results="results/", objective="{metric: seconds_to_target}")
    assert [message.split(": ")[0] for message in found] == ["job.j2:6:7", "sweep.yaml:6:10", "sweep.yaml:7:21"]


def test_trials_without_any_are_fine() -> None:
    from kgen.render import render
    from tests.unit.render.rendering import spec

    assert len(render(spec(), []).jobs) == 0
    assert rendered().notes == ()
