"""Jobs as others write them, as `kubernetes.template`: the API server takes what kgen makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kgen.render import Rendered, render
from kgen.sweep import expand, loads
from tests.cluster.client import Cluster

# In the manner of the documentation of Kubernetes: digits of pi, one pod.
PI = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: pi
spec:
  template:
    spec:
      containers:
      - name: pi
        image: perl:5.34.0
        command: ["perl", "-Mbignum=bpi", "-wle", "print bpi({{ trial.parameters.digits }})"]
      restartPolicy: Never
  backoffLimit: 4
"""

# The same with several completions, names that it generates, a deadline and labels of its own.
SEVERAL = """\
apiVersion: batch/v1
kind: Job
metadata:
  generateName: work-
  labels: {app: work, app.kubernetes.io/name: work}
spec:
  completions: 8
  parallelism: 2
  activeDeadlineSeconds: 600
  backoffLimit: 1
  template:
    metadata:
      labels: {app: work}
      annotations: {example.com/note: "digits: {{ trial.parameters.digits }}"}
    spec:
      restartPolicy: OnFailure
      initContainers:
      - {name: prepare, image: busybox:1.36, command: [sh, -c, "echo $(DIGITS)"],
         env: [{name: DIGITS, value: "{{ trial.parameters.digits }}"}]}
      containers:
      - name: work
        image: busybox:1.36
        command: [sh, -c, "seq $(DIGITS)"]
        env:
        - name: DIGITS
          value: "{{ trial.parameters.digits }}"
        - name: POD
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {memory: 1Gi}}
        volumeMounts: [{name: work, mountPath: /work}]
      volumes: [{name: work, emptyDir: {}}]
"""

# In the manner of Kueue's sample: a queue's label, suspended, three pods, requests.
KUEUE = """\
apiVersion: batch/v1
kind: Job
metadata:
  generateName: sample-job-
  labels:
    kueue.x-k8s.io/queue-name: user-queue
spec:
  parallelism: 3
  completions: 3
  suspend: true
  template:
    spec:
      containers:
      - name: dummy-job
        image: registry.k8s.io/e2e-test-images/agnhost:2.53
        command: ["/bin/sh"]
        args: ["-c", "sleep {{ trial.parameters.digits }}"]
        resources:
          requests: {cpu: 1, memory: "200Mi"}
      restartPolicy: Never
"""

# In the manner of NVIDIA's device plugin: a Pod, a whole number as limit, a toleration.
GPU_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: gpu-pod
spec:
  restartPolicy: Never
  containers:
    - name: cuda-container
      image: nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0
      resources:
        limits:
          nvidia.com/gpu: 1 # one whole GPU
  tolerations:
  - key: nvidia.com/gpu
    operator: Exists
    effect: NoSchedule
"""

TEMPLATES = {"pi": PI, "several": SEVERAL, "kueue": KUEUE, "gpu-pod": GPU_POD}


def rendered(template: str) -> Rendered:
    spec = loads(
        "version: 1\nname: foreign\nparameters: {digits: [100, 2000]}\nbudget: {target: {accuracy: 0.9}, steps: 10}\n"
        "trainer: {image: registry.example/trainer:1}\nresults: pvc://results/\nkubernetes: {template: job.j2}\n",
        files={"job.j2": template.encode()},
    )
    return render(spec, expand(spec))


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_api_server_takes_it(cluster: Cluster, namespace: str, name: str) -> None:
    jobs = list(rendered(TEMPLATES[name]).jobs)
    for job in jobs:
        here = ("create", "-n", namespace, "--validate=strict", "-f", "-", "-o", "json")
        assert json.loads(cluster.kubectl(*here, "--dry-run=server", input=job.text))["metadata"]["name"] == job.name
        created = json.loads(cluster.kubectl(*here, input=job.text))
        assert (created["spec"]["completions"], created["spec"]["parallelism"]) == (1, 1)
        assert created["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        assert is_part_of(job.object(), created)
    assert {item["metadata"]["name"] for item in cluster.get("jobs", "-n", namespace)["items"]} == {
        j.name for j in jobs
    }


def is_part_of(sent: Any, got: Any) -> bool:
    """Whether the server kept everything that it was sent."""
    if isinstance(sent, dict):
        return all(key in got and is_part_of(item, got[key]) for key, item in sent.items())
    if isinstance(sent, list):
        return len(sent) == len(got) and all(map(is_part_of, sent, got))
    return bool(sent == got)


def test_what_each_of_them_is_about_is_kept() -> None:
    found = {name: rendered(text).jobs[0].object() for name, text in TEMPLATES.items()}
    pods = {name: job["spec"]["template"]["spec"] for name, job in found.items()}
    assert pods["pi"]["containers"][0]["command"][-1] == "print bpi(100)"
    assert pods["several"]["initContainers"][0]["command"] == ["sh", "-c", "echo $(DIGITS)"]
    assert found["several"]["spec"]["activeDeadlineSeconds"] == 600
    assert found["kueue"]["spec"]["suspend"] is True
    assert found["kueue"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "user-queue"
    assert pods["kueue"]["containers"][0]["resources"]["requests"]["cpu"] == "1"
    gpu = pods["gpu-pod"]["containers"][0]
    assert gpu["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert gpu["command"] == ["python", "-m", "kgen_trainer"]
    assert {"name": "KGEN_GPUS", "value": "1"} in gpu["env"]
