"""Gathers the answers of `gate render` from options, a file and a person, and puts what is rendered together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from exporter.gate.lint.finding import Severity
from exporter.gate.lint.inputs import Surroundings, read
from exporter.gate.lint.manifest import Source
from exporter.gate.lint.rules import lint
from exporter.gate.render import manifest
from exporter.gate.render.answers import QUESTIONS, Answers, Signal
from exporter.gate.render.credential import Credential, credential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PARTS: Final = ("template", "secret", "rollout")
ASKED: Final = ("signal", "service", "namespace")
"""What is asked for when nobody said it, before the address and what the signal needs."""


class RenderError(Exception):
    """An answer that no gate can be made of."""


def from_file(path: Path | None) -> dict[str, Any]:
    """Read answers from a YAML file. Raises RenderError."""
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RenderError(f"--answers {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise RenderError(f"--answers {path} holds no mapping; write lines such as service: checkout")
    return {str(key).replace("-", "_"): value for key, value in found.items()}


def completed(answers: Mapping[str, Any], ask: Callable[[str, str], str] | None) -> Answers:
    """Check the answers; ask for what is missing, if there is somebody to ask. Raises RenderError."""
    known = dict(answers)
    for name in _missing(known):
        if ask is None:
            raise RenderError(f"{_option(name)} is missing; name it, or run this in a terminal to be asked")
        known[name] = ask(name, str(QUESTIONS[name].description))
    try:
        return Answers.model_validate(known)
    except ValidationError as error:
        raise RenderError("; ".join(_said(one) for one in error.errors())) from None


def _missing(known: Mapping[str, Any]) -> list[str]:
    """Return what has to be known and is not."""
    wanted = [name for name in ASKED if not known.get(name)]
    if not known.get("address") and not known.get("cluster_id"):
        wanted.append("address")
    if known.get("signal") == Signal.PROMQL:
        wanted += [name for name in ("query", "success", "failure") if known.get(name) in {None, ""}]
    return wanted


def rendered(answers: Answers, part: str | None, proof: Credential | None) -> str:
    """Write the whole gate, or one part of it. Raises RenderError."""
    unknown = manifest.unknown_arguments(answers)
    if unknown:
        raise RenderError(
            f"--query uses {{{{args.{unknown[0]}}}}}, which nobody gives; there are: {', '.join(manifest.GIVEN)}"
        )
    try:
        return _parts(answers, part, proof)
    except ValueError as error:
        raise RenderError(str(error)) from None


def remarks(answers: Answers) -> tuple[str, ...]:
    """Return what `gate lint` warns of in a gate of these answers. Raises RenderError for what it takes for wrong."""
    around = Surroundings(answers.version, answers.scrape_interval, answers.read_delay)
    found = lint(read([Source("gate", manifest.template(answers))], around))
    for one in found:
        if one.severity is Severity.ERROR:
            raise RenderError(f"{one.why}; {one.cure}")
    return tuple(f"{one.why}; {one.cure} [{one.rule}]" for one in found)


def _parts(answers: Answers, part: str | None, proof: Credential | None) -> str:
    if part == "rollout":
        return manifest.snippet(answers)
    held = manifest.secret(answers, proof) if proof else ""
    if part == "secret":
        if not held:
            raise RenderError("the Secret needs a credential: --credential-file, --credential-env or --ask-credential")
        return held
    template = manifest.template(answers)
    if part == "template":
        return template
    usage = "".join(f"#   {line}".rstrip() + "\n" for line in manifest.snippet(answers).splitlines())
    return f"{held}{'---' + chr(10) if held else ''}{template}---\n# In the Rollout {answers.rollout_name}:\n{usage}"


def proof(file: Path | None, variable: str | None, asked: Callable[[], str] | None) -> Credential | None:
    """Read the credential from where it is; None when nobody said where. Raises RenderError, which does not show it."""
    try:
        if file is not None:
            return credential(file.read_text())
        if variable is not None:
            return credential(os.environ[variable])
        return credential(asked()) if asked is not None else None
    except KeyError:
        raise RenderError(f"--credential-env {variable}: there is no such variable") from None
    except OSError as error:
        raise RenderError(f"--credential-file {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RenderError(str(error) if not isinstance(error, UnicodeDecodeError) else f"{file} is no text") from None


def _said(error: Any) -> str:  # noqa: ANN401 - pydantic's own
    where = _option(str(error["loc"][0])) + ": " if error["loc"] else ""
    return where + str(error["msg"]).removeprefix("Value error, ")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
