"""A stand-in for the API server: lists and watches of recorded objects, with the rights of the chart's roles."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from tests.real_stores import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chart.conftest import Manifests

Object = dict[str, Any]
OBJECTS: Final = Path(__file__).with_name("objects.json.gz")
"""A frame of a recording of Argo Rollouts 1.9.3 with experiments: facts of its objects, as the recorder wrote them."""
CUSTOM: Final = {"rollouts": "Rollout", "analysisruns": "AnalysisRun", "experiments": "Experiment"}
TYPES: Final = {
    "customresourcedefinitions": {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"},
    "pods": {"apiVersion": "v1", "kind": "Pod"},
    "replicasets": {"apiVersion": "apps/v1", "kind": "ReplicaSet"},
    **{plural: {"apiVersion": "argoproj.io/v1alpha1", "kind": kind} for plural, kind in CUSTOM.items()},
}


class Request(NamedTuple):
    """What a client asks for; the namespace is empty for all namespaces, or an object that has none."""

    verb: str
    group: str
    resource: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Rights:
    """The rules of roles that are bound to a service account, by namespace; "" has those of ClusterRoles."""

    rules: dict[str, list[Object]]

    def allow(self, request: Request) -> bool:
        """Return whether a rule allows a request."""
        return any(
            request.verb in rule["verbs"]
            and request.group in rule["apiGroups"]
            and request.resource in rule["resources"]
            for namespace in {"", request.namespace}
            for rule in self.rules.get(namespace, [])
        )

    def requests(self) -> set[Request]:
        """Return all that the rules allow."""
        return {
            Request(verb, group, resource, namespace)
            for namespace, rules in self.rules.items()
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }


def rights_of(manifests: Manifests, account: str) -> Rights:
    """Return the rights that a release gives to a service account of its own."""
    roles = {
        (role["kind"], role["metadata"]["name"], role["metadata"].get("namespace", "")): role for role in manifests
    }
    rules: dict[str, list[Object]] = {}
    for binding in manifests:
        if account in {subject["name"] for subject in binding.get("subjects", [])}:
            namespace = binding["metadata"].get("namespace", "")
            role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"], namespace]
            rules.setdefault(namespace, []).extend(role["rules"])
    return Rights(rules)


def recorded_objects() -> dict[str, list[Object]]:
    """Return the objects by resource, with the CRDs of the custom ones."""
    recorded = json.loads(gzip.decompress(OBJECTS.read_bytes()))
    objects = {resource: [_object(resource, facts) for facts in items] for resource, items in recorded.items()}
    return {**objects, "customresourcedefinitions": [_definition(*names) for names in CUSTOM.items()]}


def _object(resource: str, facts: Object) -> Object:
    owner, labels = facts.get("owner"), {"rollouts-pod-template-hash": facts.get("rollouts-pod-template-hash")}
    metadata = {
        "name": facts["name"],
        "namespace": facts["namespace"],
        "uid": facts["uid"],
        "creationTimestamp": facts["creationTimestamp"],
        "generation": facts.get("generation", 1),
        "labels": {key: value for key, value in {**labels, **(facts.get("labels") or {})}.items() if value},
        "annotations": {"rollout.argoproj.io/revision": facts["revision"]} if facts.get("revision") else {},
        "ownerReferences": [{**owner, "apiVersion": "v1", "uid": "1", "controller": True}] if owner else [],
    } | ({"annotations": facts["annotations"]} if "annotations" in facts else {})
    return {"metadata": metadata, **_content(resource, facts)}


def _content(resource: str, facts: Object) -> Object:
    if resource == "pods":
        ready = [{"type": "Ready", "status": str(facts["ready"])}]
        containers = [{"name": "app", "image": facts["image"]}]
        return {
            "spec": {"nodeName": facts["node"], "containers": containers},
            "status": {"phase": facts["phase"], "conditions": ready, "containerStatuses": [
                {**containers[0], "imageID": "", "ready": facts["ready"], "restartCount": facts["restarts"]}
            ]},
        }  # fmt: skip # as a Pod is written
    if resource == "replicasets":
        return {"spec": {"replicas": facts["specReplicas"]}, "status": facts["status"]}
    if resource == "analysisruns":
        status = {key: facts[key] for key in ("phase", "message", "metricResults", "startedAt", "completedAt")}
        return {"spec": {"metrics": facts["specMetrics"], "terminate": facts["terminate"]}, "status": status}
    if resource == "experiments":
        return {"spec": {"duration": facts["duration"], "terminate": facts["terminate"]}, "status": facts["status"]}
    return {"spec": facts["spec"], "status": facts["status"]}


def _definition(plural: str, kind: str) -> Object:
    names = {"kind": kind, "plural": plural}
    versions = [{"name": "v1alpha1", "served": True, "storage": True}]
    spec = {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": versions}
    return {"metadata": {"name": f"{plural}.argoproj.io", "uid": plural}, "spec": spec}


def parse_request(request: web.Request) -> Request:
    """Return what a request of a client of Kubernetes asks for."""
    _, root, *parts = request.path.split("/")
    group = parts.pop(0) if root == "apis" else ""
    _, *parts = parts
    namespace = parts[1] if parts[0] == "namespaces" else ""
    verb = "watch" if request.query.get("watch") in {"1", "true"} else "list"
    return Request(verb, group, parts[2 if namespace else 0], namespace)


@dataclass(slots=True)
class KubernetesApi:
    """Answers lists and watches that the rights allow, and notes every request."""

    rights: Rights
    objects: dict[str, list[Object]] = field(default_factory=recorded_objects)
    allowed: set[Request] = field(default_factory=set)
    refused: set[Request] = field(default_factory=set)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        if request.path.count("/") < 3:  # discovery; /api/v1/RESOURCE has three
            return _failure(404, "NotFound")
        asked = parse_request(request)
        if not self.rights.allow(asked):
            self.refused.add(asked)
            return _failure(403, "Forbidden")
        self.allowed.add(asked)
        objects = [
            TYPES[asked.resource] | item
            for item in self.objects[asked.resource]
            if asked.namespace in {"", item["metadata"].get("namespace")}
        ]
        if asked.verb == "watch":
            return await self._watch(request)
        list_type = {**TYPES[asked.resource], "kind": f"{TYPES[asked.resource]['kind']}List"}
        return web.json_response({**list_type, "metadata": {"resourceVersion": "1"}, "items": objects})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if "sendInitialEvents" in request.query:
            # As API servers without streaming lists (before 1.34) do: the client then lists, and watches.
            return _failure(422, "Invalid")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await self.closed.wait()  # nothing changes
        return response


def _failure(code: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "reason": reason, "code": code}, status=code)


@asynccontextmanager
async def serve(api: KubernetesApi) -> AsyncIterator[str]:
    """Serve the API on loopback and yield its address."""
    application = web.Application()
    application.router.add_get("/{path:.*}", api.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        api.closed.set()
        await runner.cleanup()
