"""How a bucket is reached: at which endpoint, and with whose credentials. The environment says it, the sweep file fills
in what the environment does not say; nothing secret is kept here or put into words."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgen import names

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

CONNECT_SECONDS: Final = 3.0
METADATA_SECONDS: Final = 1.0
_EMULATOR_TOKEN: Final = "none-is-needed"
"""What an emulator is sent, so that no real one is."""
_AWS_SOURCES: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)  # fmt: skip
"""In the order in which they count."""
_GOOGLE_SOURCES: Final = (
    "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
)  # fmt: skip


class NoCredentialsError(Exception):
    """There is nothing to sign requests with; the message says what to set."""


class Access:
    """To one bucket. ``endpoint`` and ``region`` count where the environment names none."""

    def __init__(
        self, location: str, *, endpoint: str = "", region: str = "", environ: Mapping[str, str] = os.environ
    ) -> None:
        scheme, _, rest = location.partition("://")
        self.is_s3 = scheme == "s3"
        self.bucket, _, self.prefix = rest.partition("/")
        self._environ = environ
        if self.is_s3:
            self.endpoint = self._first(names.SAME_MEANING[names.ENV_S3_ENDPOINT]) or endpoint
            self.region = self._first(names.SAME_MEANING[names.ENV_S3_REGION]) or region
        else:
            emulator = self._first(names.SAME_MEANING[names.ENV_GS_ENDPOINT]) or endpoint
            self.endpoint = emulator if "://" in emulator or not emulator else f"http://{emulator}"
            self.region = ""

    @property
    def service(self) -> str:
        """Where requests go, for messages."""
        shown = re.sub(r"^([^@:]*://)?.*@", r"\1", self.endpoint, flags=re.DOTALL)  # a password may stand there
        return shown or ("Amazon S3" if self.is_s3 else "Google Cloud Storage")

    @property
    def in_pod(self) -> bool:
        """Whether this is a pod."""
        return "KUBERNETES_SERVICE_HOST" in self._environ

    @property
    def rights(self) -> str:
        """What results in a bucket need, for messages."""
        if self.is_s3:
            return "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
        return "storage.objects.list, get, create and delete (roles/storage.objectUser)"

    @functools.cached_property
    def credentials(self) -> str:
        """Whose credentials are used, for messages: the first source of the standard chain that there is."""
        if not self.is_s3 and self._is_emulator:
            return "an emulator's"
        variable = self._source()
        if variable:
            return f"those of {variable}"
        if self.is_s3:
            return "those of ~/.aws" if self._has_profile() else "those of the instance's or pod's role"
        if self._gcloud_file().is_file():
            return "those of gcloud auth application-default login"
        return "those of the instance's or pod's service account"

    @property
    def how_to_get_credentials(self) -> str:
        """What to set where there are none."""
        if self.is_s3:
            return (
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in pods by kubernetes.secret_env), or give the pod's "
                "service account a role"
            )
        return (
            "set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login', or give the pod's "
            "service account a role (workload identity)"
        )

    @functools.cache  # noqa: B019  one client per length of patience, for as long as the store is used
    def client(self, seconds: float) -> S3Store | GCSStore:
        """A client whose requests take at most so long. Its own retries are off: whoever calls decides that.

        Raises NoCredentialsError, and whatever obstore has to say of the environment.
        """
        from obstore.store import GCSStore, S3Store

        options: dict[str, Any] = {
            "client_options": {
                "connect_timeout": timedelta(seconds=min(self._connect_seconds(), seconds)),
                "timeout": timedelta(seconds=seconds),
                "allow_http": self.endpoint.startswith("http://"),
                "user_agent": "kgen",
                **self._certificates(),
            },
            "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=seconds)},
        }
        prefix = self.prefix or None
        if self.is_s3:
            return S3Store(self.bucket, prefix=prefix, config=self._s3_config(), **options, **self._provider())
        return GCSStore(self.bucket, prefix=prefix, config=self._gs_config(), **options)

    def _connect_seconds(self) -> float:
        """Short where credentials can only come from the cloud's metadata service: elsewhere its address may swallow
        what is sent there."""
        return CONNECT_SECONDS if self._source() or self._is_emulator else METADATA_SECONDS

    def _first(self, variables: tuple[str, ...]) -> str:
        return next((value for name in variables if (value := self._environ.get(name, ""))), "")

    def _source(self) -> str:
        sources = _AWS_SOURCES if self.is_s3 else _GOOGLE_SOURCES
        return next((name for name in sources if self._environ.get(name)), "")

    def _s3_config(self) -> Any:
        config: dict[str, Any] = {"disable_bulk_delete": True}  # which not every service has
        if self.endpoint:
            config["endpoint"] = self.endpoint.rstrip("/")
        if self.region:
            config["region"] = self.region
        return config

    def _gs_config(self) -> Any:
        if not self.endpoint:
            return {}
        config = {"base_url": self.endpoint.rstrip("/")}
        if self._is_emulator:
            config["bearer_token"] = _EMULATOR_TOKEN
        return config

    @property
    def _is_emulator(self) -> bool:
        """Whether the endpoint has no TLS: then it gets no credentials of Google's."""
        return not self.is_s3 and self.endpoint.startswith("http://")

    def _certificates(self) -> dict[str, bytes]:
        """The authorities of this machine's own, which are trusted beside the public ones."""
        bundle = self._first(("AWS_CA_BUNDLE", "SSL_CERT_FILE") if self.is_s3 else ("SSL_CERT_FILE",))
        try:
            return {"root_certificate": Path(bundle).read_bytes()} if bundle and self.endpoint else {}
        except OSError:
            return {}

    def _provider(self) -> dict[str, Any]:
        """Credentials of a profile in ``~/.aws``, which obstore itself does not read."""
        if self._source():
            return {}
        if self._has_profile():
            if importlib.util.find_spec("boto3") is None:
                raise NoCredentialsError(
                    "credentials in ~/.aws need boto3: pip install boto3, or "
                    'eval "$(aws configure export-credentials --format env)"'
                )
            return {"credential_provider": _profile()}
        if self._environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise NoCredentialsError(f"no credentials: {self.how_to_get_credentials}")
        return {}

    def _has_profile(self) -> bool:
        if self._environ.get("AWS_PROFILE"):
            return True
        home = Path(self._environ.get("HOME", "/nonexistent"), ".aws")
        files = (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))
        return any(Path(self._environ.get(variable) or home / name).is_file() for variable, name in files)

    def _gcloud_file(self) -> Path:
        return Path(self._environ.get("HOME", "/nonexistent"), ".config/gcloud/application_default_credentials.json")


def _profile() -> Any:
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider()
    except Exception as error:  # noqa: BLE001  botocore's own kinds, of a library that may not be there
        raise NoCredentialsError(f"the profile in ~/.aws gives no credentials: {type(error).__name__}") from None
