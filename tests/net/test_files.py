"""What is made of files is made again when they change, and only then; certificates are an example."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trustme

from exporter.config.section import ClientTlsSection
from exporter.net.files import Reread
from exporter.net.tls import Trust

if TYPE_CHECKING:
    from pathlib import Path


def stamped(file: Path, text: str, at: int) -> Path:
    file.write_text(text)
    os.utime(file, ns=(at, at))
    return file


def test_it_is_made_again_when_any_of_the_files_is_another(tmp_path: Path) -> None:
    one, two = stamped(tmp_path / "one", "1", 1), stamped(tmp_path / "two", "2", 1)
    made: list[str] = []

    def make() -> str:
        made.append(one.read_text() + two.read_text())
        return made[-1]

    both = Reread(make, one, two)
    assert not both.changed()
    assert [both.now(), both.now()] == ["12", "12"]
    stamped(two, "3", 2)
    assert both.changed()
    assert both.now() == "13"
    assert not both.changed()
    assert made == ["12", "13"]


def test_what_cannot_be_made_is_tried_each_time_but_has_changed_only_once_its_file_has(tmp_path: Path) -> None:
    file = tmp_path / "number"
    number = Reread(lambda: int(file.read_text()), file)
    with pytest.raises(FileNotFoundError):
        number.now()
    assert not number.changed()
    stamped(file, "x", 1)
    assert number.changed()
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            number.now()
    assert not number.changed()
    stamped(file, "7", 2)
    assert (number.changed(), number.now()) == (True, 7)


def test_nothing_of_what_is_made_shows(tmp_path: Path) -> None:
    file = stamped(tmp_path / "secret", "hush", 1)
    made = Reread(file.read_text, file)
    assert "hush" not in repr(made) + str(made.now) + repr(Reread(lambda: "hush"))


def test_certificates_are_the_same_object_until_one_of_their_files_changes(tmp_path: Path) -> None:
    authority = trustme.CA()
    mine = authority.issue_cert("me.test")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    ca.write_bytes(authority.cert_pem.bytes())
    cert.write_bytes(mine.cert_chain_pems[0].bytes())
    key.write_bytes(mine.private_key_pem.bytes())
    trust = Trust(ClientTlsSection(ca_file=ca, cert_file=cert, key_file=key))
    before = trust.proof()
    assert trust.proof() is before
    assert trust.context() is before.context
    assert (before.roots, before.chain, before.key) == (ca.read_bytes(), cert.read_bytes(), key.read_bytes())
    assert "PRIVATE KEY" not in repr(before)
    ca.write_bytes(trustme.CA().cert_pem.bytes())
    assert trust.changed()
    assert trust.proof() is not before


def test_without_a_file_the_systems_authorities_are_trusted_by_everybody() -> None:
    proof = Trust(ClientTlsSection()).proof()
    known = proof.context.get_ca_certs(binary_form=True)
    assert (proof.roots or b"").count(b"BEGIN CERTIFICATE") == len(known)
