"""Names that mean something outside one module: environment variables, file names, DNS labels.

The only home of such literals, so that what a trial reads is what a back end writes.
"""

from __future__ import annotations

import re
from typing import Final

# -- environment of a trial's process ---------------------------------------------------------------------------

ENV_TRIAL: Final = "KGEN_TRIAL"
"""JSON of the one trial to run (:meth:`kgen.spec.TrialSpec.to_json`)."""
ENV_TRIALS: Final = "KGEN_TRIALS"
"""Path of a file with the JSON of one trial per line: a pack, all for this one process."""
ENV_PACKING: Final = "KGEN_PACKING"
"""How this process is to train several trials (:class:`kgen.spec.Packing`); one after another where it is not set."""
ENV_ATTEMPT: Final = "KGEN_ATTEMPT"
"""Unique name of this start of the process: a pod's UID, or a uuid."""
ENV_JOB: Final = "KGEN_JOB"
"""UID of the Job that a pack's pod belongs to: not that of the Job that a retry puts in its place."""
ENV_RESULTS: Final = "KGEN_RESULTS"
"""Where the sweep's results lie: the folder that holds ``rows/``."""
ENV_WORKER: Final = "KGEN_WORKER"
"""File descriptor of the socket over which a local worker is fed trials."""
ENV_PARENT: Final = "KGEN_PARENT"
"""Process that feeds a local worker."""
ENV_TIMING: Final = "KGEN_TIMING"
"""``exclusive`` or ``shared``: what the back end knows of the device."""
ENV_MATES: Final = "KGEN_MATES"
"""How many other trials may run on the same device at the same time."""
ENV_NODE: Final = "KGEN_NODE"
"""Name of the node; the host's name where it is not set."""
ENV_IMAGE: Final = "KGEN_IMAGE"
"""Image reference that the back end asked for."""
ENV_REVISION: Final = "KGEN_REVISION"
"""``trainer.revision``: the user's own name for the version of the code."""
ENV_IMAGE_REVISION: Final = "KGEN_IMAGE_REVISION"
"""Baked into kgen's own image: the commit that it was built from, for rows of trials without a ``trainer.revision``."""
ENV_GPUS: Final = "KGEN_GPUS"
"""How many GPUs the back end asked for; a trainer refuses to run when it sees fewer."""

THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
)  # fmt: skip
"""What libraries and frameworks read for how many threads to start; else one for each core that they see."""

ENV_CLAIM: Final = "KGEN_CLAIM"
"""In a pod of kgen's own: the claim that is mounted at :data:`kgen.render.environment.RESULTS_MOUNT`."""

# What says where a bucket is: the clouds' own names, for their other tools in a trainer know them too.
ENV_S3_ENDPOINT: Final = "AWS_ENDPOINT_URL"
ENV_S3_REGION: Final = "AWS_REGION"
ENV_GS_ENDPOINT: Final = "STORAGE_EMULATOR_HOST"
SAME_MEANING: Final = {
    ENV_S3_ENDPOINT: ("AWS_ENDPOINT_URL_S3", ENV_S3_ENDPOINT, "AWS_ENDPOINT"),
    ENV_S3_REGION: (ENV_S3_REGION, "AWS_DEFAULT_REGION"),
    ENV_GS_ENDPOINT: (ENV_GS_ENDPOINT,),
}
"""Variables that say the same; the first that is set counts."""

# What a program that knows nothing of Python gets from ``kgen-trial``.
ENV_PARAMETERS: Final = "KGEN_PARAMETERS"
"""JSON object of the trial's parameters."""
ENV_CONFIG: Final = "KGEN_CONFIG"
"""JSON object ``trainer.config``."""
ENV_SEED: Final = "KGEN_SEED"
ENV_BUDGET: Final = "KGEN_BUDGET"
"""JSON object of the trial's budget."""
ENV_CHECKPOINT_DIR: Final = "KGEN_CHECKPOINT_DIR"
ENV_METRICS_FILE: Final = "KGEN_METRICS_FILE"
"""Where a program with ``metrics: file`` appends its JSON lines."""

TERMINATION_LOG: Final = "/dev/termination-log"
"""File of a container whose content gets into its pod's status when it ends; Kubernetes' default."""

CONFIG_RANGE_TEST: Final = "range_test"
"""Key of ``trainer.config`` by which a trial is a learning-rate range test: the two ends of a rate that rises."""

# -- files below <results>/<sweep name>/ ------------------------------------------------------------------------

SWEEP_FILE: Final = "sweep.yaml"
LOCK_FILE: Final = ".lock"
"""Held by the one ``kgen run`` that works there."""
ROWS_DIR: Final = "rows"
CHECKPOINTS_DIR: Final = "checkpoints"
CHOICES_DIR: Final = "choices"
"""What later stages were chosen from earlier ones, one file each (:mod:`kgen.choice`)."""
BEGUN_DIR: Final = "begun"
"""Notes of packs, one file each (:mod:`kgen.trial.begun`)."""
COLLECTED_DIR: Final = "collected"
TRIALS_FILE: Final = "trials.parquet"
CURVES_FILE: Final = "curves.parquet"
SUMMARY_FILE: Final = "summary.csv"
CERTIFICATE_FILE: Final = "certificate.json"
ROW_CACHE_FILE: Final = "rows.parquet"
PODS_FILE: Final = "pods.parquet"
COLLECTION_FILE: Final = "collection.json"
"""What the last collection inside a cluster was made from."""
REPORT_DIR: Final = "report"
PAGE_FILE: Final = "index.html"
FIGURES_DIR: Final = "figures"
ROW_SUFFIX: Final = ".parquet"
TEMPORARY_PREFIX: Final = ".tmp-"
"""A file being written; readers pass over it, and a later writer may remove it."""


def row_file(trial: str, attempt: str) -> str:
    """Name of the row file of one attempt; a hint only, identity comes from the file's content."""
    return f"{trial}.{attempt}{ROW_SUFFIX}"


def pack_row_file(first_trial: str, attempt: str, number: int) -> str:
    """Name of a row file with several trials: the first one's, and which file of this attempt it is."""
    return row_file(first_trial, f"{attempt}.{number}")


def may_hold_others(file: str) -> bool:
    """Whether a row file of that name may have rows of trials that its name does not say.

    >>> may_hold_others(pack_row_file("aaaaaaaaaa", "x", 1)), may_hold_others(row_file("aaaaaaaaaa", "x"))
    (True, False)
    """
    return file.count(".") > row_file("", "").count(".")


def begun_file(first_trial: str) -> str:
    """Name, below the results, of the notes of the pack whose first trial that is."""
    return f"{BEGUN_DIR}/{first_trial}.json"


def summary_file(stage: str = "") -> str:
    """Name, in the folder of tables, of a stage's summary; that of a sweep of one stage does not say which."""
    return f"{SUMMARY_FILE.removesuffix('.csv')}-{stage}.csv" if stage else SUMMARY_FILE


def stage_title(stage: str) -> str:
    """A stage as a sentence begins with it; that of a file without stages is the sweep.

    >>> stage_title("grid"), stage_title(DEFAULT_STAGE)
    ('stage grid', 'the sweep')
    """
    return "the sweep" if stage == DEFAULT_STAGE else f"stage {stage}"


def choice_file(stage: str) -> str:
    """Name, below the results, of the choice that a stage's trials came of."""
    return f"{CHOICES_DIR}/{stage}.json"


# -- names that Kubernetes accepts ------------------------------------------------------------------------------

SWEEP_NAME_LIMIT: Final = 40
"""So that ``<sweep>-<trial id>`` and the pod's own suffix fit into 63 characters."""
TRIAL_ID_LENGTH: Final = 10
TRIAL_ID_PATTERN: Final = re.compile(r"[a-z2-7]{10}")
DNS_LABEL_PATTERN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
DNS_LABEL_WORDS: Final = "lower-case letters, digits and '-', beginning and ending with a letter or digit"
ENV_NAME_PATTERN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DEFAULT_STAGE: Final = "main"
"""Stage of a sweep that has only one and so does not name it."""
QUALIFIED_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def is_qualified_name(text: str) -> bool:
    """Whether Kubernetes takes it as the key of a label, an annotation, a taint or a resource.

    >>> is_qualified_name("nvidia.com/gpu"), is_qualified_name("a/b/c"), is_qualified_name("-x")
    (True, False, False)
    """
    domain, slash, name = text.rpartition("/")
    if slash and (len(domain) > 253 or not all(DNS_LABEL_PATTERN.fullmatch(part) for part in domain.split("."))):
        return False
    return QUALIFIED_NAME_PATTERN.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Whether Kubernetes takes it as the value of a label."""
    return not text or QUALIFIED_NAME_PATTERN.fullmatch(text) is not None


# -- labels and annotations of the cluster's objects ------------------------------------------------------------

LABEL_SWEEP: Final = "kgen.dev/sweep"
LABEL_STAGE: Final = "kgen.dev/stage"
LABEL_TRIAL: Final = "kgen.dev/trial"
LABEL_PACK: Final = "kgen.dev/pack"
"""On the Job and pod of several trials, in place of :data:`LABEL_TRIAL`: names the pack."""
LABEL_SPEC: Final = "kgen.dev/spec"
"""Hash of the whole manifest: what tells an unchanged object from an edited one."""
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_VERSION: Final = "app.kubernetes.io/version"
LABEL_INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""Label and annotation that the Job controller gives to the pods of an indexed Job."""
LABEL_JOB: Final = "batch.kubernetes.io/controller-uid"
"""Label that the Job controller gives to a Job's pods: the Job's UID."""
LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""Says that Kueue decides when a Job may start."""
LABEL_QUEUE_PRIORITY: Final = "kueue.x-k8s.io/priority-class"
COMPONENT_TRIAL: Final = "trial"
COMPONENT_SWEEP: Final = "sweep"
COMPONENT_TRIALS: Final = "trials"
COMPONENT_FILES: Final = "files"
COMPONENT_SUBMIT: Final = "submit"
COMPONENT_COLLECT: Final = "collect"
COMPONENT_FETCH: Final = "fetch"
COMPONENT_DOCTOR: Final = "doctor"
ANNOTATION_PARAMETERS: Final = "kgen.dev/parameters"
"""JSON of a trial's parameters, on its Job and pod."""
ANNOTATION_TRIALS: Final = "kgen.dev/trials"
"""On the Job and pod of a pack: its trials' ids with commas between them."""
ANNOTATION_SEED: Final = "kgen.dev/seed"
ANNOTATION_RETRY: Final = "kgen.dev/retry"
"""On a Job that replaces a failed one: how often that happened, and why the last one failed."""
FIELD_MANAGER: Final = "kgen"
"""Also the value of ``app.kubernetes.io/managed-by``."""
SWEEP_CONFIG_MAP_PREFIX: Final = "kgen-sweep-"
TRIALS_CONFIG_MAP_PREFIX: Final = "kgen-trials-"
FILES_CONFIG_MAP_PREFIX: Final = "kgen-files-"
CONFIG_MAP_SWEEP_KEY: Final = "sweep.yaml"
CONFIG_MAP_TRIALS_KEY: Final = "trials.jsonl"
"""Key and file name of a pack's trials: the JSON of one per line."""
CONFIG_MAP_CHOICE_PREFIX: Final = "choice-"
TRAINER_CONTAINER: Final = "trainer"


def job_name(sweep: str, trial: str) -> str:
    """Name of a trial's Job: never generated, so that creating it twice is impossible."""
    return f"{sweep}-{trial}"


def choice_key(stage: str) -> str:
    """Key of a sweep's ConfigMap for the choice that a stage's trials came of; as :func:`choice_file` in the results.

    >>> choice_key("best")
    'choice-best.json'
    """
    return f"{CONFIG_MAP_CHOICE_PREFIX}{stage}.json"


def tool_name(component: str, sweep: str) -> str:
    """Name of the Job, and the beginning of the pod's, in which kgen itself works for a sweep."""
    return f"kgen-{component}-{sweep}"


def sweep_config_map(sweep: str) -> str:
    """Name of the ConfigMap that holds a sweep's file."""
    return f"{SWEEP_CONFIG_MAP_PREFIX}{sweep}"
