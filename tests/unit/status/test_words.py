"""The words for what a real kubelet, an older or a newer server says."""

from __future__ import annotations

from typing import Any

import pytest

from kgen.status import Reason, State, status_of
from tests.unit.status.made import IMAGE, TRIAL, at, ended, event, job, pod, unschedulable, waiting

FAILED = {"type": "Failed", "reason": "BackoffLimitExceeded"}
NOT_PULLED = f"image {IMAGE} can't be pulled"


def seen(*pods: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> tuple[State, Reason, str]:
    status = status_of(TRIAL, job(), pods, events, None)
    return status.state, status.reason, status.message


def failed(**made: Any) -> tuple[Reason, str]:
    status = status_of(TRIAL, job(FAILED, failed=1), [pod(phase="Failed", **made)], (), None)
    assert status.state is State.FAILED
    return status.reason, status.message


# -- images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "rpc error: code = NotFound desc = failed to pull and unpack image: failed to resolve reference: not found",
            "it is not in its registry",
        ),
        ("manifest unknown: manifest unknown", "it is not in its registry"),
        (
            "pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed",
            "it is not there, or private and its pull secret is missing",
        ),
        ("unexpected status: 401 Unauthorized: authentication required", "the registry wants credentials"),
        ("dial tcp: lookup registry.example: no such host", "the registry's name is not known"),
        ("dial tcp 10.1.2.3:443: i/o timeout", "the registry does not answer"),
        ("dial tcp 10.1.2.3:443: connect: connection refused", "the registry does not answer"),
        ("tls: failed to verify certificate: x509: unknown authority", "the registry's certificate is not trusted"),
        ("429 Too Many Requests - toomanyrequests: You have reached", "the registry's rate limit is reached"),
        ("no match for platform in manifest: not found", "it is not built for the node's platform"),
        ("write /var/lib/x: no space left on device", "the node's disk is full"),
        ("rpc error: code = Unknown desc = a new kind of trouble", "a new kind of trouble"),
    ],
)
def test_why_an_image_is_not_pulled(said: str, words: str) -> None:
    back_off = f'Back-off pulling image "{IMAGE}": ErrImagePull: {said}'
    for reason, message in [("ErrImagePull", said), ("ImagePullBackOff", back_off)]:
        state, why, shown = seen(pod(state=waiting(reason, message)))
        assert (state, why) == (State.PENDING, Reason.IMAGE_PULL)
        assert shown.replace("ErrImagePull: ", "") == f"{NOT_PULLED}: {words}"


def test_an_older_kubelet_says_the_cause_in_an_event_only() -> None:
    back_off = pod(state=waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'))
    assert seen(back_off)[2] == NOT_PULLED
    why = event("Failed", f'Failed to pull image "{IMAGE}": 401 Unauthorized: unauthorized', pod="a")
    assert seen(back_off, events=(why,))[2] == f"{NOT_PULLED}: the registry wants credentials"


def test_images_that_are_never_pulled() -> None:
    assert seen(pod(state=waiting("InvalidImageName", "x")))[1:] == (
        Reason.IMAGE_PULL,
        f"image {IMAGE}: that is not the name of an image",
    )
    assert seen(pod(state=waiting("ErrImageNeverPull", "x")))[1:] == (
        Reason.IMAGE_PULL,
        f"image {IMAGE} is not on the node, and imagePullPolicy Never forbids to pull it",
    )


def test_an_image_whose_name_holds_a_cause() -> None:
    denied = pod(state=waiting("ErrImagePull", "denied/x: i/o timeout"))
    denied["spec"]["containers"][0]["image"] = "denied/x"
    assert seen(denied)[2] == "image denied/x can't be pulled: the registry does not answer"


# -- configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "said", "words"),
    [
        ("CreateContainerConfigError", 'secret "bucket" not found', "Secret bucket is not in this namespace"),
        (
            "CreateContainerConfigError",
            "couldn't find key token in Secret research/bucket",
            "Secret bucket has no key token",
        ),
        (
            "CreateContainerConfigError",
            'container has runAsNonRoot and image will run as root (pod: "x", container: trainer)',
            "the image runs as root, which the pod forbids",
        ),
        (
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
            'failed: unable to start container process: exec: "python": executable file not found in $PATH: unknown',
            "the image has no program python",
        ),
        (
            "CreateContainerError",
            'failed to start: exec: "/train.sh": permission denied: unknown',
            "the image's /train.sh can't be executed by the trainer's user",
        ),
        (
            "CreateContainerError",
            "rpc error: code = Unknown desc = something\n  new\x1b[31m",
            "its container can't be started: something new[31m",
        ),
        ("CreateContainerError", "", "its container can't be started"),
    ],
)
def test_why_a_container_is_not_made(reason: str, said: str, words: str) -> None:
    assert seen(pod(state=waiting(reason, said))) == (State.PENDING, Reason.CONFIG_ERROR, words)


def test_a_program_that_is_not_in_the_image_has_ended_before_it_began() -> None:
    said = 'exec: "python": executable file not found in $PATH'
    assert failed(state=ended(128, reason="StartError", message=said)) == (
        Reason.CONFIG_ERROR,
        "the image has no program python",
    )


# -- volumes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "said", "words"),
    [
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "files" : configmap "kgen-files-x" not found',
            "volume files: ConfigMap kgen-files-x is not in this namespace",
        ),
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "pv-1" : mount failed: exit status 32',
            "volume pv-1 can't be mounted: mount failed: exit status 32",
        ),
        (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[data results], unattached volumes=[], "
            "failed to process volumes=[]: timed out waiting for the condition",
            "volumes not mounted yet: data, results",
        ),
        (
            "FailedAttachVolume",
            'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node',
            "volume pvc-1 is in use on another node, and can be on one only",
        ),
        ("FailedMount", "something new", "its volumes can't be mounted: something new"),
    ],
)
def test_why_a_volume_is_not_there(reason: str, said: str, words: str) -> None:
    creating = pod(state=waiting("ContainerCreating"))
    assert seen(creating, events=(event(reason, said, pod="a"),)) == (State.PENDING, Reason.VOLUME, words)


def test_a_volume_that_came_after_all_and_anothers_trouble() -> None:
    creating = pod(state=waiting("ContainerCreating"))
    late = event("FailedMount", "x", pod="a", seconds=5)
    came = event("Pulling", "x", pod="a", seconds=6)
    before = event("FailedMount", "x", pod="before", seconds=9)
    expected = (State.PENDING, Reason.CREATING, "node gpu-0 prepares its container")
    assert seen(creating, events=(came, late, before)) == expected


def test_containers_on_their_way() -> None:
    assert seen(pod(state=waiting("PodInitializing")))[1:] == (Reason.CREATING, "node gpu-0 prepares its container")
    status = [{"name": "fetch", "state": {"running": {"startedAt": at(1)}}}]
    assert seen(pod(initContainerStatuses=status))[1:] == (Reason.CREATING, "init container fetch runs on gpu-0")
    sandbox = event("FailedCreatePodSandBox", "rpc error: code = Unknown desc = no network", pod="a")
    assert seen(pod(), events=(sandbox,))[1:] == (Reason.CREATING, "its node can't start pods: no network")


def test_a_users_template_that_restarts_in_place() -> None:
    status = [
        {
            "name": "trainer",
            "state": waiting("CrashLoopBackOff"),
            "lastState": {"terminated": {"exitCode": 3}},
        }
    ]
    assert seen(pod(phase="Running", containerStatuses=status)) == (
        State.PENDING,
        Reason.RETRYING,
        "container trainer ended with exit code 3 and is started again",
    )


# -- the scheduler ------------------------------------------------------------------------------------------------

NOT_HELPFUL = " preemption: 0/{0} nodes are available: {0} Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("said", "words", "hopeless"),
    [
        (
            "0/5 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "4 Insufficient nvidia.com/gpu." + NOT_HELPFUL.format(5),
            "none of 5 nodes fits: 1 has a taint that it does not tolerate (node-role.kubernetes.io/control-plane) "
            "and 4 have less than nvidia.com/gpu: 1",
            True,
        ),
        (
            "0/5 nodes are available: 1 node(s) had taint {nvidia.com/gpu: present}, that the pod didn't tolerate, "
            "2 Insufficient cpu, 2 Insufficient nvidia.com/gpu.",
            "none of 5 nodes fits: 1 has a taint that it does not tolerate (nvidia.com/gpu=present), "
            "2 have too little cpu free and 2 have less than nvidia.com/gpu: 1 free",
            False,
        ),
        (
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. no new claims to deallocate, "
            "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
            "none of 2 nodes fits: 2 have less than nvidia.com/gpu: 1 free",
            False,
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."
            + NOT_HELPFUL.format(1),
            "the one node is not ready",
            False,
        ),
        (
            "0/3 nodes are available: 1 Too many pods, 1 node(s) had volume node affinity conflict, "
            "1 node(s) had a new kind of trouble.",
            "none of 3 nodes fits: 1 takes no more pods, 1 can't reach its volume and 1 had a new kind of trouble",
            False,
        ),
        (
            "0/2 nodes are available: 2 cannot allocate all claims.",
            "none of 2 nodes fits: 2 can't serve its resource claims",
            False,
        ),
        ("no nodes available to schedule pods", "the cluster has no nodes", False),
        ("0/0 nodes are available", "0/0 nodes are available", False),
        ('resourceclaim "gpu" not found', "ResourceClaim gpu is not there yet", False),
        ("a wholly new message", "a wholly new message", False),
        ("", "the scheduler finds no node for it", False),
    ],
)
def test_why_no_node_fits(said: str, words: str, hopeless: bool) -> None:
    status = status_of(TRIAL, job(), [unschedulable(said)], (), None)
    assert (status.state, status.reason) == (State.PENDING, Reason.UNSCHEDULABLE)
    assert (status.message, status.hopeless) == (words, hopeless)


def test_the_autoscaler_gives_hope() -> None:
    no_node = unschedulable("0/2 nodes are available: 2 Insufficient nvidia.com/gpu." + NOT_HELPFUL.format(2))
    assert status_of(TRIAL, job(), [no_node]).hopeless
    growing = event("TriggeredScaleUp", "pod triggered scale-up", pod="a")
    status = status_of(TRIAL, job(), [no_node], [growing])
    assert not status.hopeless
    assert status.message == "none of 2 nodes fits: 2 have less than nvidia.com/gpu: 1; the autoscaler is adding a node"


# -- admission ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (
            'pods "x" is forbidden: exceeded quota: team, requested: limits.memory=4Gi,requests.cpu=2, '
            "used: limits.memory=62Gi,requests.cpu=31, limited: limits.memory=64Gi,requests.cpu=32",
            Reason.QUOTA,
            "over quota team: limits.memory 62Gi of 64Gi used, it needs 4Gi; requests.cpu 31 of 32 used, it needs 2",
        ),
        (
            'pods "x" is forbidden: failed quota: team: must specify limits.cpu for: trainer',
            Reason.REFUSED,
            "quota team wants every pod to say its limits.cpu for: trainer",
        ),
        (
            'admission webhook "validate.kyverno.svc" denied the request: images need a digest\n\n',
            Reason.REFUSED,
            "admission webhook validate.kyverno.svc forbids it: images need a digest",
        ),
        ("Timeout: request did not complete", Reason.REFUSED, "its pod is refused: Timeout: request did not complete"),
    ],
)
def test_why_a_pod_is_refused(said: str, reason: Reason, words: str) -> None:
    status = status_of(TRIAL, job(), [], [event("FailedCreate", f"Error creating: {said}")])
    assert (status.state, status.reason, status.message) == (State.QUEUED, reason, words)


# -- the end of an attempt ----------------------------------------------------------------------------------------


def test_what_the_program_said_last() -> None:
    log = "Traceback (most recent call last):\n  …\nValueError: learning_rate must be positive\n\n"
    assert failed(state=ended(64, message=log)) == (
        Reason.BAD_PARAMETERS,
        "the trainer refuses its parameters (exit code 64): ValueError: learning_rate must be positive",
    )


def test_metrics_are_no_last_words() -> None:
    """In a log, standard error may come before what was printed earlier."""
    log = 'ValueError: x\n{"step": 1, "loss": 0.5}\n{"loss":0.5,"step":1,"trial":"k7q2m5xw3d"}\n'
    assert failed(state=ended(1, message=log))[1] == "the trainer crashed (exit code 1): ValueError: x"


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (1, Reason.CRASH, "the trainer crashed (exit code 1)"),
        (126, Reason.CRASH, "the trainer's program can't be executed (exit code 126)"),
        (127, Reason.CRASH, "the trainer's program is not in the image (exit code 127)"),
        (134, Reason.CRASH, "the trainer crashed: aborted (exit code 134)"),
        (137, Reason.CRASH, "the trainer was killed (exit code 137)"),
        (143, Reason.INTERRUPTED, "interrupted: its pod was told to end (exit code 143)"),
    ],
)
def test_exit_codes(code: int, reason: Reason, words: str) -> None:
    assert failed(state=ended(code)) == (reason, words)


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        ({"reason": "NodeLost"}, Reason.NODE_LOST, "its node does not answer"),
        ({"reason": "Terminated"}, Reason.NODE_LOST, "its node was shut down"),
        ({"reason": "Preempting"}, Reason.PREEMPTED, "preempted by a system pod on its node"),
        (
            {"reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds the total limit of 4Gi. "},
            Reason.EVICTED,
            "evicted: Pod ephemeral local storage usage exceeds the total limit of 4Gi",
        ),
        ({"reason": "Evicted", "message": "something new"}, Reason.EVICTED, "evicted by its node"),
        (
            {"reason": "UnexpectedAdmissionError", "message": "Allocate failed due to no healthy devices present."},
            Reason.NO_DEVICE,
            "its node turned it away: Allocate failed due to no healthy devices present",
        ),
        ({"reason": "OutOfnvidia.com/gpu"}, Reason.NO_DEVICE, "its node turned it away: OutOfnvidia.com/gpu"),
        ({"reason": "OutOfcpu"}, Reason.UNKNOWN, "its node turned it away: OutOfcpu"),
        ({}, Reason.UNKNOWN, "ended, and its node does not say why"),
    ],
)
def test_what_nodes_do_to_pods(said: dict[str, str], reason: Reason, words: str) -> None:
    assert failed(**said) == (reason, words)


@pytest.mark.parametrize(
    ("why", "reason", "words"),
    [
        ("EvictionByEvictionAPI", Reason.EVICTED, "evicted: its node is drained or scaled down"),
        ("DeletionByPodGC", Reason.NODE_LOST, "its node is gone"),
        ("TerminationByKubelet", Reason.EVICTED, "ended by its node"),
        ("SomethingNew", Reason.EVICTED, "disrupted: because"),
    ],
)
def test_disruptions(why: str, reason: Reason, words: str) -> None:
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": why, "message": "because"}
    assert failed(state=ended(143), conditions=[disrupted]) == (reason, words)


def test_the_trainers_own_word_counts_more_than_a_disruption() -> None:
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    assert failed(state=ended(64), conditions=[disrupted])[0] is Reason.BAD_PARAMETERS


def test_an_exit_code_of_another_container_is_not_the_trainers() -> None:
    fetch = [{"name": "fetch", "state": ended(64)}]
    assert failed(initContainerStatuses=fetch, state=waiting("PodInitializing")) == (
        Reason.CRASH,
        "init container fetch ended with exit code 64",
    )


def test_the_container_of_a_users_template_has_another_name() -> None:
    assert failed(container="main", state=ended(66))[0] is Reason.NO_DATA
