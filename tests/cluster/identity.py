"""Who may talk to the control plane: tokens of its own programs and the administrator, keys, kubeconfigs."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

ADMIN = "admin"
MASTERS = "system:masters"
REAL_NODES = ("real-0", "real-1")
"""Nodes that a kubelet may come as; without one, they are only names."""

# Each program has the user whose rights Kubernetes' own roles describe; kwok stands in for kubelets of any name.
USERS = {
    ADMIN: MASTERS,
    "kwok": MASTERS,
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    **{f"system:node:{name}": "system:nodes" for name in REAL_NODES},
}

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Tokens:
    """A token for each of `USERS`."""

    by_user: dict[str, str]

    @classmethod
    def draw(cls) -> Tokens:
        """New ones."""
        return cls({user: secrets.token_hex(16) for user in USERS})

    def write(self, file: Path) -> None:
        """Write the server's list of them."""
        lines = [f'{token},{user},{user},"{USERS[user]}"' for user, token in self.by_user.items()]
        file.touch(mode=0o600)
        file.write_text("\n".join(lines) + "\n")


def private_key() -> str:
    """A new P-256 key as PEM, to sign service accounts' tokens with.

    Such a key is any number below the curve's order, and its file may leave the public half to the reader: so neither
    openssl nor a library is needed.
    """
    secret = (1 + secrets.randbelow(_P256_ORDER - 1)).to_bytes(32, "big")
    version = bytes.fromhex("020101")
    curve = bytes.fromhex("a00a06082a8648ce3d030107")
    body = version + b"\x04\x20" + secret + curve
    encoded = base64.encodebytes(b"\x30" + bytes([len(body)]) + body).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{encoded}-----END EC PRIVATE KEY-----\n"


def kubeconfig(server: str, authority: bytes, user: str, token: str, namespace: str = "default") -> str:
    """A kubeconfig that needs no other file (JSON, which is YAML)."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
    name = "kgen-test"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": namespace}}],
            "current-context": name,
        },
        indent=1,
    )


def write_private(file: Path, text: str) -> Path:
    """Write a file that only its owner may read: kubectl warns of others."""
    file.touch(mode=0o600)
    file.write_text(text)
    return file
