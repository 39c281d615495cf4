"""The configuration of a node's programs: everything they keep is in one folder, beside no other node's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import nodes
from tests.node import pause

CNI_PROGRAMS = Path("/usr/lib/cni")
"""Where Debian's package containernetworking-plugins has them."""
GPUS = 2
"""How many the node says it has. There is no device behind them."""


@dataclass(frozen=True)
class Place:
    """What tells a node from others on the same machine."""

    name: str
    """The Node object's."""
    mark: str
    """Name of its bridge and of its cgroup: no other node on this machine has it."""
    folder: Path
    subnet: str
    """The first three numbers of its pods' addresses."""
    authority: Path
    """Who vouches for the API server to the kubelet."""
    taint: str = ""
    """Key of a taint that keeps pods off, but those that ask for it."""

    @property
    def gateway(self) -> str:
        """Address of the bridge, where the kubelet listens and where pods reach this machine."""
        return f"{self.subnet}.1"

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"

    @property
    def inside(self) -> Path:
        """Is there as soon as the node's namespaces are as they should be."""
        return self.folder / "inside"

    def write(self) -> None:
        """Write the files that `containerd` and `kubelet` name."""
        networks = self.folder / "networks"
        networks.mkdir(parents=True)
        (networks / "pods.conflist").write_text(json.dumps(self._network()))
        (self.folder / "containerd.toml").write_text(self._containerd())
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nobody answers, and that at once
        (self.folder / "kubelet.json").write_text(json.dumps(self._kubelet()))

    def containerd(self) -> list[object]:
        """The command."""
        return ["containerd", "--config", self.folder / "containerd.toml"]

    def kubelet(self, program: Path, kubeconfig: Path) -> list[object]:
        """The command."""
        labels = {
            "nvidia.com/gpu.product": nodes.H100,
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.count": str(GPUS),
        }
        return [
            program,
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.gateway}",
            "--node-labels=" + ",".join(f"{key}={value}" for key, value in labels.items()),
        ]

    def _network(self) -> dict[str, Any]:
        pods = {"subnet": f"{self.subnet}.0/24", "gateway": self.gateway}
        bridge = {
            "type": "bridge",
            "bridge": self.mark,  # is there, with its address: the plugin would let this machine forward packets
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.folder / "addresses"),
                "ranges": [[pods]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        return {"cniVersion": "0.4.0", "name": self.mark, "plugins": [bridge]}

    def _containerd(self) -> str:
        return f"""
version = 2
root = "{self.folder}/containerd"
state = "{self.folder}/state"
[grpc]
address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{self.folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause.IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PROGRAMS}"
conf_dir = "{self.folder}/networks"
"""

    def _kubelet(self) -> dict[str, Any]:
        taints = [{"key": self.taint, "effect": "NoSchedule"}] if self.taint else []
        return {
            "registerWithTaints": taints,
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.gateway,
            "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "podLogsDir": str(self.folder / "logs"),
            "volumePluginDir": str(self.folder / "plugins"),
            "resolvConf": str(self.folder / "resolv.conf"),
            "clusterDNS": ["127.0.0.1"],
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.mark}",
            "cgroupsPerQOS": True,
            "cpuCFSQuota": False,  # so that many small pods, which mostly wait, may start at once
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "localStorageCapacityIsolation": True,
            # The machine's disk is not the tests' business, and what is on it is not theirs to delete.
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "maxPods": 200,
            "eventRecordQPS": 0,
            "volumeStatsAggPeriod": "2s",  # how soon it sees that an emptyDir is over its limit
            "nodeStatusUpdateFrequency": "4s",
        }
