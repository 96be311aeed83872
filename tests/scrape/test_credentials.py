"""Who we say we are and whom we trust: TLS by name, tokens and passwords, all read again when their files change."""

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

    from tests.scrape.conftest import Ask, Served, Servers


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def written(file: Path, text: str | bytes) -> Path:
    """Write a file as Kubernetes turns a secret: the new one takes the old one's place."""
    fresh = file.with_suffix(".fresh")
    fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
    fresh.replace(file)
    return file


def trusting(authority: trustme.CA, folder: Path) -> str:
    return str(written(folder / "ca.pem", authority.cert_pem.bytes()))


@pytest.fixture
def tls_files(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    mine = authority.issue_cert("me.test")
    texts = {
        "ca.pem": authority.cert_pem.bytes(),
        "cert.pem": mine.cert_chain_pems[0].bytes(),
        "key.pem": mine.private_key_pem.bytes(),
    }
    return {name: written(tmp_path / name, text) for name, text in texts.items()}


def authorization(served: Served) -> list[str]:
    lines = served.heads[-1].split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]


async def test_a_certificate_is_checked_against_the_name_though_the_ip_is_asked(
    serve: Servers, ask: Ask, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    served = await serve(http.answer(b"a 1\n"), tls=server_context(authority, "argo.test"))
    tls = {"ca_file": trusting(authority, tmp_path)}
    assert await ask(f"https://argo.test:{served.port}", tls=tls) is None
    assert served.names == ["argo.test"]
    assert f"\r\nHost: argo.test:{served.port}\r\n" in served.heads[0]
    assert await ask(f"https://argo.test.:{served.port}", tls=tls) is None


async def test_a_certificate_of_another_name_is_not_trusted(
    serve: Servers, ask: Ask, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    served = await serve(http.answer(), tls=server_context(authority, "other.test"))
    tls = {"ca_file": trusting(authority, tmp_path)}
    for host in ("argo.test", "127.0.0.1"):
        trouble = await ask(f"https://{host}:{served.port}", tls=tls)
        assert trouble is not None
        assert trouble.reason == "tls"
        assert f"certificate is not valid for '{host}'" in trouble.message
        assert "argo.tls.server_name" in trouble.message
    assert served.heads == []
    assert await ask(f"https://argo.test:{served.port}", tls=tls | {"server_name": "other.test"}) is None
    assert await ask(f"https://127.0.0.1:{served.port}", tls=tls | {"server_name": "other.test"}) is None
    assert served.names[-2:] == ["other.test"] * 2


async def test_an_ip_in_the_certificate_is_enough_for_a_target_that_is_an_ip(
    serve: Servers, ask: Ask, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    served = await serve(http.answer(), tls=server_context(authority, "127.0.0.1"))
    assert await ask(f"https://{served.target}", tls={"ca_file": trusting(authority, tmp_path)}) is None


async def test_an_unknown_authority_is_not_trusted_unless_told_to(
    serve: Servers, ask: Ask, http: ModuleType, authority: trustme.CA
) -> None:
    served = await serve(http.answer(), tls=server_context(authority, "argo.test"))
    url = f"https://argo.test:{served.port}"
    trouble = await ask(url)
    assert trouble is not None
    assert trouble.reason == "tls"
    assert "argo.tls.ca_file" in trouble.message
    assert await ask(url, tls={"insecure_skip_verify": True}) is None


async def test_a_server_that_speaks_no_tls_is_told(ask: Ask) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        trouble = await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert trouble is not None
    assert trouble.reason == "tls"
    assert "check https:// in argo.targets" in trouble.message


async def test_a_client_certificate_is_shown_and_read_again_when_it_changes(
    serve: Servers, ask: Ask, http: ModuleType, authority: trustme.CA, tmp_path: Path
) -> None:
    context = server_context(authority, "argo.test")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    served = await serve(http.answer(), tls=context)
    url, tls = f"https://argo.test:{served.port}", {"ca_file": trusting(authority, tmp_path)}
    bare = await ask(url, tls=tls)
    assert bare is not None
    assert bare.reason in {"tls", "reset"}
    assert "argo.tls" in bare.message
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    fetch = ask.keep(url, tls=tls | {"cert_file": str(cert), "key_file": str(key)})
    for issuer, known in ((trustme.CA(), False), (authority, True)):
        mine = issuer.issue_cert("me.test")
        written(cert, mine.cert_chain_pems[0].bytes())
        written(key, mine.private_key_pem.bytes())
        assert (await fetch() is None) is known


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ca.pem", None, "No such file or directory: "),
        ("ca.pem", b"", "ca.pem holds no PEM certificate"),
        ("ca.pem", b"rubbish", "ca.pem holds no PEM certificate"),
        ("cert.pem", b"rubbish", "key.pem are not a PEM certificate and its key"),
        ("key.pem", trustme.CA().issue_cert("me.test").private_key_pem.bytes(), "are not a PEM certificate and its key"),
        ("key.pem", None, "No such file or directory: "),
    ],
)
async def test_a_tls_file_that_cannot_be_used_is_told_and_nobody_is_asked(
    ask: Ask, tls_files: dict[str, Path], name: str, text: bytes | None, words: str
) -> None:
    if text is None:
        tls_files[name].unlink()
    else:
        written(tls_files[name], text)
    settings = {f"{name.removesuffix('.pem')}_file": str(file) for name, file in tls_files.items()}
    trouble = await ask("https://argo.test:1", tls=settings)
    assert trouble is not None
    assert trouble.reason == "credentials"
    assert trouble.message.startswith("scrape skipped: ")
    assert words in trouble.message
    assert trouble.message.endswith("; check argo.tls")


async def test_an_encrypted_key_is_told_instead_of_asking_for_its_password(
    ask: Ask, authority: trustme.CA, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization as pem  # noqa: PLC0415 - trustme brings it

    mine = authority.issue_cert("me.test")
    key = pem.load_pem_private_key(mine.private_key_pem.bytes(), None)
    locked = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"hunter2"))
    cert = written(tmp_path / "cert.pem", mine.cert_chain_pems[0].bytes())
    trouble = await ask(
        "https://argo.test:1", tls={"cert_file": str(cert), "key_file": str(written(tmp_path / "key.pem", locked))}
    )
    assert trouble is not None
    assert "the private key is encrypted; use one without a password" in trouble.message


async def test_a_token_is_read_again_when_it_changes(
    serve: Servers, ask: Ask, http: ModuleType, tmp_path: Path
) -> None:
    served = await serve(http.answer())
    file = tmp_path / "token"
    fetch = ask.keep(served.target, bearer_token_file=str(written(file, "one\n")))
    assert await fetch() is None
    assert authorization(served) == ["Bearer one"]
    written(file, "two\n")
    assert await fetch() is None
    assert authorization(served) == ["Bearer two"]


async def test_basic_auth_takes_its_password_from_the_settings_or_a_file(
    serve: Servers, ask: Ask, http: ModuleType, tmp_path: Path
) -> None:
    served = await serve(http.answer())
    file = written(tmp_path / "password", "pässword\n")
    await ask(served.target, basic_auth={"username": "me", "password_file": str(file)})
    assert authorization(served) == [f"Basic {b64encode('me:pässword'.encode()).decode()}"]
    await ask(served.target, basic_auth={"username": "me", "password": "hunter2"})
    assert authorization(served) == [f"Basic {b64encode(b'me:hunter2').decode()}"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file or directory: "),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nX-Evil: 1", "more than one line"),
        (b"hunter2\xff", "is not UTF-8"),
    ],
)
async def test_a_token_that_cannot_be_sent_is_told_not_shown_and_nobody_is_asked(
    serve: Servers, ask: Ask, tmp_path: Path, text: bytes | None, words: str
) -> None:
    served = await serve(b"")
    file = tmp_path / "token"
    if text is not None:
        written(file, text)
    trouble = await ask(served.target, bearer_token_file=str(file))
    assert trouble is not None
    assert trouble.reason == "credentials"
    assert words in trouble.message
    assert str(file) in trouble.message
    assert "argo.bearer_token_file" in trouble.message
    assert "hunter2" not in trouble.message
    assert served.connections == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_token_that_may_not_be_read_is_told(ask: Ask, tmp_path: Path) -> None:
    file = written(tmp_path / "token", "hunter2")
    file.chmod(0)
    trouble = await ask("argo.test:1", bearer_token_file=str(file))
    assert trouble is not None
    assert "Permission denied" in trouble.message
