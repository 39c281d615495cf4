"""Which cluster, as whom: kubeconfig files as kubectl reads them, or a pod's own service account."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgen.errors import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import Configuration
    from urllib3 import PoolManager

CONNECTIONS: Final = 40
"""Kept open at most: as many as threads ever ask at once, or urllib3 closes and opens them anew."""
_DEFAULT: Final = "~/.kube/config"
_IN_CLUSTER: Final = "in-cluster"
"""Stands for the name of the context in a pod without a kubeconfig."""
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Login:
    """A way into one cluster."""

    server: str
    """Address, without a slash at its end."""
    context: str
    namespace: str
    """The context's; empty where it has none."""
    headers: dict[str, str]
    """Of every request: who asks."""
    pool: PoolManager


def log_in(kubeconfig: Path | None = None, context: str | None = None) -> Login:
    """Read the configuration and run its credential plugin; asks the cluster nothing.

    A flag's file, else those of ``KUBECONFIG``, else ``~/.kube/config``, else a pod's service account. Raises
    ClusterError.
    """
    paths = _paths(kubeconfig)
    if any(path.exists() for path in paths):
        return _from_files(paths, context)
    if is_in_pod(kubeconfig, context):
        return _from_pod()
    tried = ", ".join(map(str, paths))
    raise ClusterError(f"no cluster is configured: there is no {tried}; name a file with --kubeconfig or KUBECONFIG")


def is_in_pod(kubeconfig: Path | None = None, context: str | None = None) -> bool:
    """Whether a pod's service account is what one logs in with: a pod, no kubeconfig, and nobody names another."""
    if kubeconfig is not None or context is not None or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return False
    return not any(path.exists() for path in _paths(None))


def _paths(kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        return [kubeconfig.expanduser()]
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return [Path(name).expanduser() for name in filter(None, named)] or [Path(_DEFAULT).expanduser()]


def _from_files(paths: list[Path], context: str | None) -> Login:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, kube_config

    library: Any = kube_config  # without types
    told = " and ".join(str(path) for path in paths if path.exists())
    try:
        merger = library.KubeConfigMerger(os.pathsep.join(map(str, paths)))
        name = context or _current(merger.config_files)
        _check_context(merger.config_files, name, told)
        loader = library.KubeConfigLoader(
            merger.config,
            active_context=name,
            config_base_path=None,  # relative paths start at the file that holds them
            config_persister=merger.save_changes,
        )
        configuration = Configuration()
        with _what_is_logged() as logged:
            loader.load_and_set(configuration)
    except (ConfigException, library.yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{told} can't be used: {' '.join(str(error).split())}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the library looks into whatever it finds
        raise ClusterError(f"{told} is not a kubeconfig ({error})") from error
    user = _value(loader._user)
    if "exec" in user and "BearerToken" not in configuration.api_key and configuration.cert_file is None:
        program = user["exec"].get("command", "its program")
        raise ClusterError(f"{program}, which context {name} logs in with, gave no credentials: {'; '.join(logged)}")
    namespace = _value(loader._current_context).get("context", {}).get("namespace") or ""
    return _login(configuration, name, str(namespace), _impersonation(user))


def _current(files: dict[str, Any]) -> str:
    """The first file that names a current context decides, as for kubectl; the library takes the last."""
    return next((str(file["current-context"]) for file in files.values() if file.get("current-context")), "")


def _check_context(files: dict[str, Any], name: str, told: str) -> None:
    known = sorted({str(item["name"]) for file in files.values() for item in file.get("contexts") or ()})
    there = f"there are {', '.join(known)}" if known else "there is none at all"
    if not name:
        raise ClusterError(f"{told} names no current context: choose one with --context ({there})")
    if name not in known:
        raise ClusterError(f"{told} has no context {name}: {there}")


def _value(node: Any) -> dict[str, Any]:
    value = getattr(node, "value", node)
    return value if isinstance(value, dict) else {}


def _impersonation(user: dict[str, Any]) -> dict[str, str]:
    """``as`` of a user, which the library passes over: without it everything would be done as somebody else."""
    more = sorted(key for key in user if key.startswith("as-") and key != "as-uid")
    if more:
        raise ClusterError(f"the kubeconfig's user has {', '.join(more)}, which kgen does not know: use as alone")
    headers = {"Impersonate-User": user.get("as"), "Impersonate-Uid": user.get("as-uid")}
    return {name: str(value) for name, value in headers.items() if value}


def _from_pod() -> Login:
    from kubernetes import config
    from kubernetes.client import Configuration

    library: Any = config  # without types
    configuration = Configuration()
    try:
        library.load_incluster_config(configuration)
        namespace = _POD_NAMESPACE.read_text().strip()
    except (config.ConfigException, OSError) as error:
        raise ClusterError(f"this pod's service account can't be used: {error}") from error
    return _login(configuration, _IN_CLUSTER, namespace, {})


def _login(configuration: Configuration, context: str, namespace: str, headers: dict[str, str]) -> Login:
    from kubernetes.client.rest import RESTClientObject

    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.keep_alive = True
    # As for every Go client: what is on this machine needs no proxy.
    configuration.no_proxy = ",".join(filter(None, [configuration.no_proxy, "localhost,127.0.0.0/8,::1"]))
    if not configuration.verify_ssl:
        import urllib3

        # The user has said so in the kubeconfig; a warning per connection would say it again and again.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    # The library would ask its plugin for another token five minutes before each expiry, so before every request where
    # tokens live shorter: here the token is kept until the server no longer takes it.
    token = configuration.api_key.get("BearerToken")
    if token:
        headers = {"Authorization": _header(token), **headers}
    pool = RESTClientObject(configuration).pool_manager
    return Login(configuration.host.rstrip("/"), context, namespace, headers, pool)


def _header(token: str) -> str:
    """Token files end with a line break, which a header can't have."""
    kind, _, secret = token.strip().partition(" ")
    return f"{kind} {secret.strip()}"


@contextlib.contextmanager
def _what_is_logged() -> Iterator[list[str]]:
    """The library logs why a credential plugin failed, and goes on without credentials."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(" ".join(record.getMessage().split()))  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield messages
    finally:
        root.removeHandler(handler)
