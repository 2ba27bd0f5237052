"""Checks the manifests: schemas of Kubernetes, references between objects, and what every pod must have.

    check.py PROJECT MANIFEST...

Prints the number of checks, or the problems.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

# The oldest and the newest version that the manifests are for.
VERSIONS = ("1.29", "1.37")

Object = dict[str, Any]


def pod_of(document: Object) -> Object | None:
    """Finds the template of an object's pods."""
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    template: Object | None = spec.get("template")
    return template


def schema_problems(document: Object) -> Iterator[str | None]:
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
            yield None
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"


def pod_problems(template: Object, version: str) -> Iterator[str | None]:
    """Yields what a pod lacks of the restricted profile of Kubernetes, and of the rules of these manifests."""
    spec = template["spec"]
    context = spec.get("securityContext", {})
    yield None if context.get("runAsNonRoot") and context.get("runAsUser", 0) > 0 else "the pod may run as root"
    yield None if context.get("seccompProfile") == {"type": "RuntimeDefault"} else "the pod has no seccomp profile"
    yield None if spec.get("automountServiceAccountToken") is False else "the pod gets a token for the cluster's API"
    for container in spec["containers"]:
        name = container["name"]
        own = container.get("securityContext", {})
        is_hardened = (
            own.get("allowPrivilegeEscalation") is False
            and own.get("readOnlyRootFilesystem") is True
            and own.get("capabilities") == {"drop": ["ALL"]}
        )
        yield None if is_hardened else f"the container {name} is not hardened"
        resources = container.get("resources", {})
        for kind in ("requests", "limits"):
            is_complete = {"cpu", "memory"} <= resources.get(kind, {}).keys()
            yield None if is_complete else f"the container {name} has no {kind} of cpu and memory"
        image, expected = container["image"], f"progress-ledger:{version}"
        yield None if image == expected else f"the container {name} has the image {image}, not {expected}"


def reference_problems(document: Object, documents: list[Object]) -> Iterator[str | None]:
    """Yields references to objects that no manifest contains."""
    templates = [(other, template) for other in documents if (template := pod_of(other))]
    spec = document.get("spec", {})
    labels = spec.get("selector") if document["kind"] == "Service" else spec.get("selector", {}).get("matchLabels")
    labels = labels or spec.get("podSelector", {}).get("matchLabels")
    if labels:
        chosen = [
            template for _, template in templates if labels.items() <= template["metadata"].get("labels", {}).items()
        ]
        yield None if len(chosen) == 1 else f"the selector {labels} matches {len(chosen)} kinds of pods"
        ports = [port["name"] for template in chosen for port in template["spec"]["containers"][0].get("ports", [])]
        for port in [entry.get("targetPort") for entry in spec.get("ports", []) if document["kind"] == "Service"]:
            yield None if port in ports else f"no pod has the port {port}"
    template = pod_of(document)
    if template is None:
        return
    namespace = document["metadata"].get("namespace")
    if document["kind"] == "Deployment":
        budgets = [
            other
            for other in documents
            if other["kind"] == "PodDisruptionBudget"
            and other["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        ]
        yield None if len(budgets) == 1 else f"the pods have {len(budgets)} disruption budgets"
    volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
    for volume in template["spec"].get("volumes", []):
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim:
            found = any(
                other["kind"] == "PersistentVolumeClaim"
                and other["metadata"]["namespace"] == namespace
                and other["metadata"]["name"] == claim
                for other in documents
            )
            yield None if found else f"there is no volume claim {claim}"
    for container in template["spec"]["containers"]:
        for mount in container.get("volumeMounts", []):
            yield None if mount["name"] in volumes else f"there is no volume {mount['name']}"
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                found = any(
                    other["kind"] == "Secret"
                    and other["metadata"]["namespace"] == namespace
                    and other["metadata"]["name"] == reference["name"]
                    and reference["key"] in other["stringData"]
                    for other in documents
                )
                yield None if found else f"there is no secret {reference['name']} with {reference['key']}"


def variable_problems(text: str, configuration: str) -> Iterator[str | None]:
    for name in sorted(set(re.findall(r"PROGRESS_LEDGER_[A-Z_]+", text))):
        yield None if f"`{name}`" in configuration else f"{name} is not in Configuration.md"


def main(project: Path, paths: list[Path]) -> int:
    manifest = (project / "Package.swift").read_text()
    (version,) = re.findall(r'^let version = "(.*)"$', manifest, flags=re.MULTILINE)
    configuration = (project / "Sources/LedgerCommands/LedgerCommands.docc/Configuration.md").read_text()
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    contents = {path: list(yaml.safe_load_all(text)) for path, text in texts.items()}
    documents = [document for group in contents.values() for document in group]
    passed, problems = 0, []
    for path in paths:
        results = list(variable_problems(texts[path], configuration))
        for document in contents[path]:
            results += schema_problems(document)
            results += reference_problems(document, documents)
            if template := pod_of(document):
                results += pod_problems(template, version)
        passed += results.count(None)
        problems += [f"{path.name}: {problem}" for problem in results if problem]
    for problem in problems:
        print(f"test-kubernetes: {problem}", file=sys.stderr)
    print(f"{passed} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]))
