"""The section that says where what was pushed is read back: a Prometheus HTTP API, Last9's or any."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from exporter.config.errors import quoted
from exporter.config.section import ClientTlsSection, Section
from exporter.config.values import PositiveSeconds, SecretFilePath, ValueFormat, split_address, value_error

LAST9_READ_URL = "https://read-app-tsdb.last9.io/hot/v1/metrics/{cluster}/sender/{organization}"
"""Last9's form of a Read URL (facts: last9 5)."""
_API_PATH = re.compile(r"/api/v1(/(query|query_range|query_exemplars|series|labels|metadata|write|read))?/*$")
_SLUG = r"^[A-Za-z0-9._-]*$"


def check_read_address(text: str) -> str:
    """Check the address of a Prometheus HTTP API: what comes before /api/v1."""
    written = text.strip()
    parts = split_address(written)
    if not parts.scheme:
        raise value_error(f"{quoted(written)} has no scheme", f"write https://{written} (http:// for plain text)")
    if parts.query or parts.fragment:
        raise value_error("holds a query or a fragment", "write the address alone")
    if _API_PATH.search(parts.path):
        raise value_error("ends in /api/v1, which is appended to it", "write what comes before /api/v1")
    if parts.path.rstrip("/").endswith("/write"):
        raise value_error("is where a remote write goes", "write the address to read from; at Last9 it is the Read URL")
    return written.rstrip("/")


class Last9Section(Section):
    """A cluster of Last9, from which its Read URL is built (Cluster > Settings > Read Data shows it)."""

    cluster: str = Field(default="", pattern=_SLUG)
    """Cluster id; it is the user name as well; empty: `address` says where to read."""
    organization: str = Field(default="", pattern=_SLUG)
    """Slug of the organisation, which ends the Read URL."""


class ReadSection(Section):
    """Reading back from the store, for `verify`; off unless it has an address."""

    address: Annotated[str, AfterValidator(check_read_address), ValueFormat("URL")] | None = None
    """Where a Prometheus HTTP API answers: what comes before /api/v1; unset: nothing is read."""
    last9: Last9Section = Last9Section()
    """In place of `address`: a cluster of Last9."""
    username: str = ""
    """User name of basic authentication; empty: the cluster id of `last9`, else none is used."""
    password: SecretStr | None = None
    """Password, at Last9 a read token of the cluster; better kept in `password_file`."""
    password_file: SecretFilePath | None = None
    """File that holds the password."""
    authorization_file: SecretFilePath | None = None
    """File with the whole value of the Authorization header, in place of user name and password; unset: none."""
    tls: ClientTlsSection = ClientTlsSection()
    """TLS towards the address."""
    timeout: PositiveSeconds = 30.0
    """How long one answer may take."""

    @property
    def url(self) -> str:
        """What comes before /api/v1; "" when nothing is read."""
        built = self.last9.cluster and LAST9_READ_URL.format(**self.last9.model_dump())
        return self.address or built

    @property
    def user(self) -> str:
        """The user name of basic authentication; "" for none."""
        return self.username or self.last9.cluster
