"""Creating 1,000 suspended Jobs on one API server: kgen's client beside kubectl and beside the server's own limit.

The same manifests in turns, each time into a new namespace. kubectl gets one file with all of them. The limit is what
32 asynchronous POSTs of ready JSON reach that check nothing but the status. `CPU` is the client's own time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kgen.backends.kubernetes.api import connect
from kgen.backends.kubernetes.create import create
from kgen.backends.kubernetes.objects import Kind, list_objects
from kgen.backends.kubernetes.remove import delete_all
from kgen.render.manifest import Manifest
from tests.cluster import choose
from tests.cluster.client import Cluster
from tests.cluster.plain_jobs import SELECTOR, job

JOBS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
BAR = 2.0
"""Times kubectl create."""


@dataclass
class Way:
    """One client."""

    name: str
    run: Callable[[Cluster, str, list[Manifest]], object]
    rates: list[float]
    cpu: list[float]


def main() -> None:
    """Measure and print."""
    manifests = [job(number) for number in range(JOBS)]
    # Some hundred bytes more make them as large as what kgen renders.
    manifests = [
        replace(made, text=made.text.replace('"parameters"', f'"more": "{"x" * 1500}", "parameters"'))
        for made in manifests
    ]
    ways = [
        Way("kgen", with_kgen, [], []),
        Way("kubectl create", kubectl("create"), [], []),
        Way("kubectl apply --server-side", kubectl("apply", "--server-side"), [], []),
        Way("32 raw POSTs: the limit", raw, [], []),
    ]
    with choose.controlplane() as cluster:
        warm_up(cluster, ways, manifests)
        for _ in range(ROUNDS):
            for way in ways:
                measure(cluster, way, manifests)
    report(ways)


def warm_up(cluster: Cluster, ways: list[Way], manifests: list[Manifest]) -> None:
    """Imports, caches, connections."""
    for way in ways:
        measure(cluster, way, manifests[:50])
        way.rates.clear()
        way.cpu.clear()


def measure(cluster: Cluster, way: Way, manifests: list[Manifest]) -> None:
    """One client, once."""
    namespace = cluster.new_namespace()
    began, used = time.perf_counter(), cpu_seconds()
    way.run(cluster, namespace, manifests)
    way.rates.append(len(manifests) / (time.perf_counter() - began))
    way.cpu.append(cpu_seconds() - used)
    api = connect(cluster.kubeconfig, None, namespace)
    there = list_objects(api, Kind.JOB, SELECTOR)[0]
    assert len(there) == len(manifests), f"{way.name}: {len(there):,} of {len(manifests):,} Jobs"
    # Before the next client's turn everything of this one is gone, and the controllers have nothing to do.
    delete_all(api, Kind.JOB, SELECTOR)
    cluster.kubectl("delete", "namespace", namespace, "--wait=true")


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def with_kgen(cluster: Cluster, namespace: str, manifests: list[Manifest]) -> None:
    """As `kgen submit` does it."""
    made = create(connect(cluster.kubeconfig, None, namespace), manifests)
    assert len(made.created) == len(manifests), made.error


def kubectl(*verb: str) -> Callable[[Cluster, str, list[Manifest]], object]:
    """One file, one process."""

    def run(cluster: Cluster, namespace: str, manifests: list[Manifest]) -> None:
        file = cluster.folder / "all.json"
        file.write_text("\n---\n".join(manifest.text for manifest in manifests))
        subprocess.run(
            [cluster.program, *verb, f"--namespace={namespace}", f"--filename={file}"],
            env=os.environ | {"KUBECONFIG": str(cluster.kubeconfig), "KUBECACHEDIR": str(cluster.folder / "cache")},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    return run


def raw(cluster: Cluster, namespace: str, manifests: list[Manifest]) -> None:
    """What the API server can take."""
    asyncio.run(_raw(cluster.kubeconfig, namespace, manifests))


async def _raw(kubeconfig: Path, namespace: str, manifests: list[Manifest]) -> None:
    import aiohttp

    config = json.loads(await asyncio.to_thread(kubeconfig.read_text))
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {user['token']}"}
    left = iter(manifests)

    async def worker(session: aiohttp.ClientSession) -> None:
        for manifest in left:
            url = f"{server['server']}/apis/batch/v1/namespaces/{namespace}/jobs"
            async with session.post(url, data=manifest.text.encode(), headers=headers) as answer:
                await answer.read()
                assert answer.status == 201

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=32)) as session:
        await asyncio.gather(*(worker(session) for _ in range(32)))


def report(ways: list[Way]) -> None:
    """A line per client."""
    median = {way.name: statistics.median(way.rates) for way in ways}
    base = median["kubectl create"]
    print(
        f"{JOBS:,} Jobs{'':<21}{'Jobs/s':>8}{'min':>6}{'max':>6}{'ratio':>7}{'CPU s':>7}   median of {ROUNDS}, in turns"
    )
    for way in ways:
        rate = median[way.name]
        line = f"{way.name:<30}{rate:8.0f}{min(way.rates):6.0f}{max(way.rates):6.0f}{rate / base:7.2f}"
        print(f"{line}{statistics.median(way.cpu):7.2f}")
    print(f"bar: kgen ≥ {BAR} × kubectl create; of the limit kgen reaches {median['kgen'] / median[ways[-1].name]:.0%}")


if __name__ == "__main__":
    main()
