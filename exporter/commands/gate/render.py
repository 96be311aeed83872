"""Collects the answers of `gate render` from options, a file and prompts, and puts the generated YAML together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from exporter import yaml_nodes
from exporter.commands.gate.load import GateError, read_text
from exporter.gate.kubernetes import ManifestFile
from exporter.gate.lint.findings import Severity
from exporter.gate.lint.inputs import LintContext, read_input
from exporter.gate.lint.rules import apply_rules
from exporter.gate.render import manifest
from exporter.gate.render.answers import QUESTIONS, Answers, Credential, Signal, option_name, parse_credential
from exporter.gate.render.insertion import insert_step
from exporter.gate.render.routes import route_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PROMPTED: Final = ("signal", "service", "namespace")
"""Answers that are always prompted for if missing; then the address, and what the signal needs."""


def read_answers(path: Path | None) -> dict[str, Any]:
    """Read answers from a YAML file. Raises GateError."""
    if path is None:
        return {}
    try:
        node = yaml_nodes.compose(read_text(path, "--answers"), yaml_nodes.KubernetesLoader)
        answers = None if node is None else yaml_nodes.construct(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise GateError(f"--answers {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(answers, dict):
        raise GateError(f"--answers {path} is not a mapping; write lines such as service: checkout")
    return {str(key).replace("-", "_"): value for key, value in answers.items()}


def complete_answers(answers: Mapping[str, Any], prompt: Callable[[str, str], str] | None) -> Answers:
    """Validate the answers; prompt for missing ones, if there is a terminal. Raises GateError."""
    completed = dict(answers)
    for name in _missing_answers(completed):
        if prompt is None:
            raise GateError(f"{option_name(name)} is missing; set it, or run the command in a terminal to be prompted")
        completed[name] = prompt(name, str(QUESTIONS[name].description))
    try:
        return Answers.model_validate(completed)
    except ValidationError as error:
        raise GateError("; ".join(_message(item) for item in error.errors())) from None


def _missing_answers(answers: Mapping[str, Any]) -> list[str]:
    missing = [name for name in PROMPTED if not answers.get(name)]
    if not answers.get("address") and not answers.get("cluster_id"):
        missing.append("address")
    if answers.get("signal") == Signal.PROMQL:
        # Only the user knows what is a good value of their own query.
        missing += [name for name in ("query", "success", "failure") if answers.get(name) in {None, ""}]
    return missing


def render(answers: Answers, part: str | None, credential: Credential | None) -> str:
    """Return the complete gate, or one part of it. Raises GateError."""
    unknown = manifest.unknown_arguments(answers)
    if unknown:
        names = ", ".join(manifest.ROLLOUT_ARGS)
        raise GateError(f"--query uses {{{{args.{unknown[0]}}}}}, which the Rollout does not pass; use one of: {names}")
    try:
        return _parts(answers, part, credential)
    except ValueError as error:
        raise GateError(str(error)) from None


def lint_warnings(answers: Answers) -> tuple[str, ...]:
    """Return the warnings of `gate lint` for the generated gate. Raises GateError for an error of it."""
    context = LintContext(answers.version, answers.scrape_interval, answers.read_delay, store=answers.store)
    findings = apply_rules(read_input([ManifestFile("gate", manifest.template(answers))], context))
    for finding in findings:
        if finding.severity is Severity.ERROR:
            raise GateError(f"{finding.reason}; {finding.hint}")
    return tuple(f"{finding.reason}; {finding.hint} [{finding.rule}]" for finding in findings)


def _parts(answers: Answers, part: str | None, credential: Credential | None) -> str:
    if part == "rollout":
        return manifest.snippet(answers)
    secret = manifest.secret(answers, credential) if credential else ""
    if part == "secret":
        if not secret:
            raise GateError("the Secret needs a credential: --credential-file, --credential-env or --ask-credential")
        return secret
    template = manifest.template(answers)
    if part == "template":
        return template
    steps = "".join(f"#   {line}".rstrip() + "\n" for line in manifest.snippet(answers).splitlines())
    # Without the Secret: a pipe, a log or a repository would keep its credential.
    return f"{template}---\n# In the Rollout {answers.rollout_name}:\n{steps}"


def warnings_about(file: Path, answers: Answers) -> tuple[str, ...]:
    """Return warnings about a Rollout whose canary and stable a sequential test cannot compare. Raises GateError."""
    return tuple(route_warnings(read_text(file, "--into"))) if answers.is_sequential else ()


def insert_into(file: Path, answers: Answers) -> None:
    """Insert the gate's step into the file of a Rollout. Raises GateError."""
    try:
        # Not as text, which would change its line breaks.
        changed = insert_step(file.read_bytes().decode(), answers)
        file.write_bytes(changed.encode())
    except UnicodeDecodeError:
        raise GateError(f"--into {file} is not UTF-8 text") from None
    except ValueError as error:
        raise GateError(f"--into {file}: {error}") from None
    except OSError as error:
        raise GateError(f"--into {file} cannot be changed: {error.strerror}; give the file of the Rollout") from None


def load_credential(file: Path | None, variable: str | None, prompt: Callable[[], str] | None) -> Credential | None:
    """Read the credential, None if no source is given. Raises GateError, which does not contain it."""
    try:
        if file is not None:
            return parse_credential(read_text(file, "--credential-file"))
        if variable is not None:
            return parse_credential(os.environ[variable])
        return parse_credential(prompt()) if prompt is not None else None
    except KeyError:
        raise GateError(f"--credential-env {variable}: this variable is not set") from None
    except ValueError as error:
        raise GateError(str(error)) from None


def _message(error: Any) -> str:  # noqa: ANN401 - an error of pydantic
    option = option_name(str(error["loc"][0])) + ": " if error["loc"] else ""
    return option + str(error["msg"]).removeprefix("Value error, ")
