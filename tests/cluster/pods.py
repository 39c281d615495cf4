"""A process that takes itself for a pod: a service account's token where pods have theirs, and no kubeconfig.

What is under test is the real command against the real API server; only the folders of a pod are elsewhere.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.client import Cluster

_PROGRAM = """
import sys
from pathlib import Path
from kubernetes.config import incluster_config
from kgen.backends.kubernetes import config
from kgen.cli.app import main
from kgen.workflow import beside, results
folder = Path(sys.argv.pop(1))
incluster_config.SERVICE_TOKEN_FILENAME = str(folder / "token")
incluster_config.SERVICE_CERT_FILENAME = str(folder / "ca.crt")
config._POD_NAMESPACE = folder / "namespace"
beside.RESULTS_MOUNT = results.RESULTS_MOUNT = str(folder / "results")
main()
"""


@dataclass(frozen=True)
class AsPod:
    """Runs commands of kgen as a pod of a namespace would, with one service account."""

    folder: Path
    """`results` in it is what is mounted at `/results`."""
    server: str

    @classmethod
    def of(cls, cluster: Cluster, namespace: str, account: str, folder: Path) -> AsPod:
        """The account has to be there."""
        config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        inside = config["clusters"][0]["cluster"]
        token = cluster.kubectl("create", "token", account, f"--namespace={namespace}").strip()
        (folder / "results").mkdir(parents=True)
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(base64.b64decode(inside["certificate-authority-data"]))
        (folder / "namespace").write_text(namespace)
        return cls(folder, inside["server"])

    def start(self, *arguments: object, **env: str) -> subprocess.Popen[str]:
        """Begin a command."""
        address = urlsplit(self.server)
        own: dict[str, str] = {
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            "HOME": str(self.folder),
            "MPLCONFIGDIR": str(self.folder),
            "NO_COLOR": "1",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "KGEN"))}
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self.folder), *map(str, arguments)],
            cwd=self.folder,
            env=kept | own | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def created_jobs(cluster: Cluster, namespace: str, after: int) -> Counter[str]:
    """How often each Job of a namespace was created since a position of the audit log."""
    made: Counter[str] = Counter()
    for event in cluster.audit(after=after):
        about = event.get("objectRef", {})
        is_job = (event["verb"], about.get("resource"), about.get("namespace")) == ("create", "jobs", namespace)
        if is_job and event["responseStatus"]["code"] == 201 and "dryRun" not in event["requestURI"]:
            made[about["name"]] += 1
    return made
