"""TLS, tokens and passwords of a scrape, all reloaded when their files change."""

from __future__ import annotations

import asyncio
import os
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from tests.scrape.conftest import RunningServer, Scrape, Servers


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def replace_file(file: Path, content: str | bytes) -> Path:
    """Write a file as Kubernetes updates a Secret: the new file replaces the old one."""
    new_file = file.with_suffix(".fresh")
    new_file.write_bytes(content if isinstance(content, bytes) else content.encode())
    new_file.replace(file)
    return file


def write_ca(authority: trustme.CA, folder: Path) -> str:
    return str(replace_file(folder / "ca.pem", authority.cert_pem.bytes()))


@pytest.fixture
def tls_files(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    client_cert = authority.issue_cert("me.test")
    texts = {
        "ca.pem": authority.cert_pem.bytes(),
        "cert.pem": client_cert.cert_chain_pems[0].bytes(),
        "key.pem": client_cert.private_key_pem.bytes(),
    }
    return {name: replace_file(tmp_path / name, content) for name, content in texts.items()}


def authorization(server: RunningServer) -> list[str]:
    lines = server.request_heads[-1].split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]


async def test_a_certificate_is_verified_for_the_name_although_the_request_goes_to_the_ip(
    serve: Servers, scrape: Scrape, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    server = await serve(http.response(b"a 1\n"), tls=server_context(authority, "argo.test"))
    tls = {"ca_file": write_ca(authority, tmp_path)}
    assert await scrape(f"https://argo.test:{server.port}", tls=tls) is None
    assert server.server_names == ["argo.test"]
    assert f"\r\nHost: argo.test:{server.port}\r\n" in server.request_heads[0]
    assert await scrape(f"https://argo.test.:{server.port}", tls=tls) is None


async def test_a_certificate_of_another_name_is_not_trusted(
    serve: Servers, scrape: Scrape, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    server = await serve(http.response(), tls=server_context(authority, "other.test"))
    tls = {"ca_file": write_ca(authority, tmp_path)}
    for host in ("argo.test", "127.0.0.1"):
        failure = await scrape(f"https://{host}:{server.port}", tls=tls)
        assert failure is not None
        assert failure.reason == "tls"
        assert f"certificate is not valid for '{host}'" in failure.message
        assert "argo.tls.server_name" in failure.message
    assert server.request_heads == []
    assert await scrape(f"https://argo.test:{server.port}", tls=tls | {"server_name": "other.test"}) is None
    assert await scrape(f"https://127.0.0.1:{server.port}", tls=tls | {"server_name": "other.test"}) is None
    assert server.server_names[-2:] == ["other.test"] * 2


async def test_an_ip_in_the_certificate_is_enough_for_a_target_that_is_an_ip(
    serve: Servers, scrape: Scrape, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    server = await serve(http.response(), tls=server_context(authority, "127.0.0.1"))
    assert await scrape(f"https://{server.target}", tls={"ca_file": write_ca(authority, tmp_path)}) is None


async def test_an_unknown_authority_is_not_trusted_unless_verification_is_off(
    serve: Servers, scrape: Scrape, http: ModuleType, authority: trustme.CA
) -> None:
    server = await serve(http.response(), tls=server_context(authority, "argo.test"))
    url = f"https://argo.test:{server.port}"
    failure = await scrape(url)
    assert failure is not None
    assert failure.reason == "tls"
    assert "argo.tls.ca_file" in failure.message
    assert await scrape(url, tls={"insecure_skip_verify": True}) is None


async def test_a_server_without_tls_is_reported(scrape: Scrape) -> None:
    async def respond_plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(respond_plain_text, "127.0.0.1", 0) as server:
        failure = await scrape(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert failure is not None
    assert failure.reason == "tls"
    assert "check https:// in argo.targets" in failure.message


async def test_a_client_certificate_is_sent_and_reloaded_when_it_changes(
    serve: Servers, scrape: Scrape, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    context = server_context(authority, "argo.test")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = await serve(http.response(), tls=context)
    url, tls = f"https://argo.test:{server.port}", {"ca_file": write_ca(authority, tmp_path)}
    without_cert = await scrape(url, tls=tls)
    assert without_cert is not None
    assert without_cert.reason in {"tls", "reset"}
    assert "argo.tls" in without_cert.message
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    send = scrape.prepare(url, tls=tls | {"cert_file": str(cert), "key_file": str(key)})
    for issuer, trusted in ((trustme.CA(), False), (authority, True)):
        client_cert = issuer.issue_cert("me.test")
        replace_file(cert, client_cert.cert_chain_pems[0].bytes())
        replace_file(key, client_cert.private_key_pem.bytes())
        assert (await send() is None) is trusted


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("ca.pem", None, "No such file or directory: "),
        ("ca.pem", b"", "ca.pem holds no PEM certificate"),
        ("ca.pem", b"rubbish", "ca.pem holds no PEM certificate"),
        ("cert.pem", b"rubbish", "key.pem are not a PEM certificate and its key"),
        (
            "key.pem",
            trustme.CA().issue_cert("me.test").private_key_pem.bytes(),
            "are not a PEM certificate and its key",
        ),
        ("key.pem", None, "No such file or directory: "),
    ],
)
async def test_an_unusable_tls_file_is_reported_and_no_request_is_sent(
    scrape: Scrape, tls_files: dict[str, Path], name: str, content: bytes | None, text: str
) -> None:
    if content is None:
        tls_files[name].unlink()
    else:
        replace_file(tls_files[name], content)
    settings = {f"{name.removesuffix('.pem')}_file": str(file) for name, file in tls_files.items()}
    failure = await scrape("https://argo.test:1", tls=settings)
    assert failure is not None
    assert failure.reason == "credentials"
    assert failure.message.startswith("scrape skipped: ")
    assert text in failure.message
    assert failure.message.endswith("; check argo.tls")


async def test_an_encrypted_key_is_reported_instead_of_prompting_for_its_password(
    scrape: Scrape, authority: trustme.CA, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization as pem  # noqa: PLC0415 - trustme brings it

    client_cert = authority.issue_cert("me.test")
    key = pem.load_pem_private_key(client_cert.private_key_pem.bytes(), None)
    encrypted_key = key.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"hunter2")
    )
    cert = replace_file(tmp_path / "cert.pem", client_cert.cert_chain_pems[0].bytes())
    failure = await scrape(
        "https://argo.test:1",
        tls={"cert_file": str(cert), "key_file": str(replace_file(tmp_path / "key.pem", encrypted_key))},
    )
    assert failure is not None
    assert "the private key is encrypted; use one without a password" in failure.message


async def test_a_token_is_reloaded_when_it_changes(
    serve: Servers, scrape: Scrape, http: ModuleType, tmp_path: Path
) -> None:
    server = await serve(http.response())
    file = tmp_path / "token"
    send = scrape.prepare(server.target, bearer_token_file=str(replace_file(file, "one\n")))
    assert await send() is None
    assert authorization(server) == ["Bearer one"]
    replace_file(file, "two\n")
    assert await send() is None
    assert authorization(server) == ["Bearer two"]


async def test_basic_auth_takes_its_password_from_the_settings_or_a_file(
    serve: Servers, scrape: Scrape, http: ModuleType, tmp_path: Path
) -> None:
    server = await serve(http.response())
    file = replace_file(tmp_path / "password", "pässword\n")
    await scrape(server.target, basic_auth={"username": "me", "password_file": str(file)})
    assert authorization(server) == [f"Basic {b64encode('me:pässword'.encode()).decode()}"]
    await scrape(server.target, basic_auth={"username": "me", "password": "hunter2"})
    assert authorization(server) == [f"Basic {b64encode(b'me:hunter2').decode()}"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file or directory: "),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nX-Evil: 1", "more than one line"),
        (b"hunter2\xff", "is not UTF-8"),
    ],
)
async def test_an_unusable_token_is_reported_but_not_shown_and_no_request_is_sent(
    serve: Servers, scrape: Scrape, tmp_path: Path, content: bytes | None, text: str
) -> None:
    server = await serve(b"")
    file = tmp_path / "token"
    if content is not None:
        replace_file(file, content)
    failure = await scrape(server.target, bearer_token_file=str(file))
    assert failure is not None
    assert failure.reason == "credentials"
    assert text in failure.message
    assert str(file) in failure.message
    assert "argo.bearer_token_file" in failure.message
    assert "hunter2" not in failure.message
    assert server.connections == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_token_is_reported(scrape: Scrape, tmp_path: Path) -> None:
    file = replace_file(tmp_path / "token", "hunter2")
    file.chmod(0)
    failure = await scrape("argo.test:1", bearer_token_file=str(file))
    assert failure is not None
    assert "Permission denied" in failure.message
