"""Values built from files are rebuilt when a file changes, and only then; certificates are an example."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import nullcontext
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme

from exporter.config.section import ClientTlsSection
from exporter.net import http
from exporter.net.files import ReloadingFile
from exporter.net.tls import ClientTlsLoader, lazy_system_context
from tests.otlp.certificates import server_tls

if TYPE_CHECKING:
    from pathlib import Path


def write_at(file: Path, text: str, mtime: int) -> Path:
    file.write_text(text)
    os.utime(file, ns=(mtime, mtime))
    return file


def test_a_value_is_rebuilt_when_any_of_its_files_changes(tmp_path: Path) -> None:
    first, second = write_at(tmp_path / "first", "1", 1), write_at(tmp_path / "second", "2", 1)
    builds: list[str] = []

    def build() -> str:
        builds.append(first.read_text() + second.read_text())
        return builds[-1]

    both = ReloadingFile(build, first, second)
    assert not both.changed()
    assert [both.load(), both.load()] == ["12", "12"]
    write_at(second, "3", 2)
    assert both.changed()
    assert both.load() == "13"
    assert not both.changed()
    assert builds == ["12", "13"]


def test_a_failed_build_is_retried_at_each_load_and_changes_only_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "number"
    number = ReloadingFile(lambda: int(file.read_text()), file)
    with pytest.raises(FileNotFoundError):
        number.load()
    assert not number.changed()
    write_at(file, "x", 1)
    assert number.changed()
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            number.load()
    assert not number.changed()
    write_at(file, "7", 2)
    assert (number.changed(), number.load()) == (True, 7)


def test_a_value_is_not_shown_in_a_repr(tmp_path: Path) -> None:
    file = write_at(tmp_path / "secret", "hush", 1)
    secret = ReloadingFile(file.read_text, file)
    assert "hush" not in repr(secret) + str(secret.load) + repr(ReloadingFile(lambda: "hush"))


def test_certificates_are_the_same_object_until_one_of_their_files_changes(tmp_path: Path) -> None:
    authority = trustme.CA()
    client_cert = authority.issue_cert("me.test")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    ca.write_bytes(authority.cert_pem.bytes())
    cert.write_bytes(client_cert.cert_chain_pems[0].bytes())
    key.write_bytes(client_cert.private_key_pem.bytes())
    loader = ClientTlsLoader(ClientTlsSection(ca_file=ca, cert_file=cert, key_file=key))
    previous = loader.load()
    assert loader.load() is previous
    assert loader.load().context is previous.context
    assert (previous.root_ca_pem, previous.cert_pem, previous.key_pem) == (
        ca.read_bytes(),
        cert.read_bytes(),
        key.read_bytes(),
    )
    assert "PRIVATE KEY" not in repr(previous)
    ca.write_bytes(trustme.CA().cert_pem.bytes())
    assert loader.changed()
    assert loader.load() is not previous


def test_without_a_file_every_client_trusts_the_authorities_of_the_system() -> None:
    material = ClientTlsLoader(ClientTlsSection()).load()
    roots = material.context.get_ca_certs(binary_form=True)
    assert (material.root_ca_pem or b"").count(b"BEGIN CERTIFICATE") == len(roots)


def test_clients_without_tls_files_share_one_copy_of_the_authorities() -> None:
    first, second = (ClientTlsLoader(ClientTlsSection()).load().context for _ in range(2))
    assert first is second
    assert ClientTlsLoader(ClientTlsSection(insecure_skip_verify=True)).load().context is not first


async def test_a_session_without_tls_settings_reads_the_authorities_of_the_system_when_it_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, other = trustme.CA(), trustme.CA()
    (tmp_path / "ca.pem").write_bytes(trusted.cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = lazy_system_context()
    assert context.cert_store_stats()["x509"] == 0
    for authority, is_trusted in ((trusted, True), (other, False)):
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_tls(authority, "localhost")
        )
        address = server.sockets[0].getsockname()
        async with server:
            with nullcontext() if is_trusted else pytest.raises(ssl.SSLCertVerificationError):
                _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
                writer.close()
    assert context.cert_store_stats()["x509"] == 1


def test_the_default_of_aiohttp_is_the_lazy_context() -> None:
    """Aiohttp has no public way to set it: another version may need another one."""
    assert vars(http)["aiohttp_connector"] is aiohttp.connector
    default = vars(aiohttp.connector)["_SSL_CONTEXT_VERIFIED"]
    assert type(default) is type(lazy_system_context())
    assert default is vars(aiohttp.connector)["_SSL_CONTEXT_UNVERIFIED"]
    assert default.verify_mode is ssl.CERT_REQUIRED
    assert default.check_hostname
    assert aiohttp.TCPConnector._get_ssl_context.__globals__["_SSL_CONTEXT_VERIFIED"] is default
