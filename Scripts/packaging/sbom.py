"""Writes the bill of materials of a release, and the licenses of the packages in its program.

    sbom.py BUILD_FOLDER PROGRAM VERSION COMMIT BILL NOTICES

BUILD_FOLDER is the scratch folder of the build that linked PROGRAM. BILL is a CycloneDX 1.6 document: the Swift
packages with versions, commits, contents and licenses, the libraries that they contain, Swift's runtime, and the Debian
packages of the shared libraries. NOTICES gets the license and notice files of all that is linked statically.

A Swift package that is resolved but not linked has the scope "excluded". Times and identifiers depend on the commit
only, so that the same build gives the same bytes.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/progress-ledger/progress-ledger"

# The licenses of the Debian packages of shared libraries, as in their copyright files.
DEBIAN_LICENSES = {
    "libc6": "LGPL-2.1-or-later",
    "libgcc-s1": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libpq5": "PostgreSQL",
    "libstdc++6": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "zlib1g": "Zlib",
}

Component = dict[str, Any]


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def license_of(expression: str) -> list[Component]:
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]


def linked_packages(build: Path) -> set[str]:
    """Finds the checkouts with an object in the program."""
    release = build / "release"
    objects = (release / "progress-ledger.product" / "Objects.LinkFileList").read_text()
    linked = set(re.findall(r"/([^/]+)\.build/.*\.o$", objects, flags=re.MULTILINE))
    found: set[str] = set()
    commands = (build / "release.yaml").read_text()
    for inputs, outputs in re.findall(r"^ +inputs: (\[.*\])\n +outputs: (\[.*\])$", commands, flags=re.MULTILINE):
        targets = set(re.findall(r"/([^/]+)\.build/[^\"]*\.o\"", outputs))
        if targets & linked:
            found.update(re.findall(r"/checkouts/([^/]+)/", inputs))
    return found


def swift_packages(build: Path) -> list[Component]:
    """Lists the resolved packages."""
    pins = json.loads((PROJECT / "Scripts" / "packaging" / "dependencies.json").read_text())["packages"]
    trees = {pin["name"]: pin for pin in pins}
    linked = linked_packages(build)
    state = json.loads((build / "workspace-state.json").read_text())["object"]["dependencies"]
    components = []
    for dependency in sorted(state, key=lambda entry: str(entry["packageRef"]["identity"])):
        name = dependency["packageRef"]["identity"]
        checkout = dependency["state"]["checkoutState"]
        url = trees[name]["url"]
        reference = f"pkg:swift/{url.removeprefix('https://')}@{checkout['version']}"
        components.append(
            {
                "type": "library",
                "bom-ref": reference,
                "name": name,
                "version": checkout["version"],
                "scope": "required" if dependency["subpath"] in linked else "excluded",
                "licenses": license_of(trees[name]["license"]),
                "purl": reference,
                "externalReferences": [{"type": "vcs", "url": url}],
                "properties": [
                    {"name": "progress-ledger:git:commit", "value": checkout["revision"]},
                    {"name": "progress-ledger:git:tree", "value": trees[name]["tree"]},
                ],
            }
        )
        contained = contained_libraries(name, build / "checkouts" / dependency["subpath"])
        if contained:
            components[-1]["components"] = contained
    return components


def contained_libraries(name: str, checkout: Path) -> list[Component]:
    """Lists the C libraries that a package contains as copies of their sources."""
    folder = {"swift-nio-ssl": "CNIOBoringSSL", "swift-crypto": "CCryptoBoringSSL"}.get(name)
    if folder:
        text = (checkout / "Sources" / folder / "hash.txt").read_text()
        found = re.search(r"revision ([0-9a-f]{40})", text)
        assert found, f"{name}: hash.txt names no revision of BoringSSL"
        licenses, library, version = "Apache-2.0 AND MIT", "boringssl", found.group(1)
        url = "https://boringssl.googlesource.com/boringssl"
    elif name == "swift-nio":
        header = (checkout / "Sources" / "CNIOLLHTTP" / "include" / "c_nio_llhttp.h").read_text()
        parts = re.findall(r"#define LLHTTP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
        assert len(parts) == 3, f"{name}: the header names no version of llhttp"
        licenses, library, version = "MIT", "llhttp", ".".join(parts)
        url = "https://github.com/nodejs/llhttp"
    else:
        return []
    return [
        {
            "type": "library",
            "bom-ref": f"{name}/{library}@{version}",
            "name": library,
            "version": version,
            "licenses": license_of(licenses),
            "externalReferences": [{"type": "vcs", "url": url}],
        }
    ]


def swift_runtime() -> Component:
    version = re.search(r"Swift version ([0-9.]+)", output("swift", "--version"))
    assert version, "'swift --version' prints no version"
    return {
        "type": "library",
        "bom-ref": f"swift-runtime@{version.group(1)}",
        "name": "swift-runtime",
        "version": version.group(1),
        "description": "The Swift standard library, Dispatch and FoundationEssentials, linked statically",
        "scope": "required",
        "licenses": license_of("Apache-2.0 WITH Swift-exception"),
        "externalReferences": [{"type": "vcs", "url": "https://github.com/swiftlang/swift"}],
    }


def system_libraries(program: Path) -> list[Component]:
    """Lists the Debian packages of the shared libraries that the program needs."""
    packages: dict[str, list[str]] = {}
    paths = dict(re.findall(r"^\s*(\S+) => (\S+) \(", output("ldd", str(program)), flags=re.MULTILINE))
    for library in re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "--dynamic", "--wide", str(program))):
        path = os.path.realpath(paths.get(library, f"/lib64/{library}"))
        # dpkg knows some files below / and others below /usr.
        names = [path, path.removeprefix("/usr")]
        owner = subprocess.run(["dpkg", "--search", *names], capture_output=True, text=True, check=False).stdout
        assert owner, f"no Debian package contains {path}"
        packages.setdefault(owner.split(":")[0], []).append(library)
    components = []
    for package, libraries in sorted(packages.items()):
        fields = output("dpkg-query", "--show", "--showformat=${Version} ${Architecture}", package)
        version, architecture = fields.split()
        reference = f"pkg:deb/debian/{package.replace('+', '%2B')}@{version}?arch={architecture}&distro=debian-12"
        components.append(
            {
                "type": "library",
                "bom-ref": reference,
                "name": package,
                "version": version,
                "description": f"Shared libraries: {', '.join(sorted(libraries))}",
                "scope": "required",
                "licenses": license_of(DEBIAN_LICENSES[package]),
                "purl": reference,
            }
        )
    return components


def edges(components: list[Component], root: str) -> list[Component]:
    """Lists the dependencies between the Swift packages, and those of the program."""
    options = ["--package-path", str(PROJECT), "--scratch-path", sys.argv[1], "--force-resolved-versions"]
    graph = json.loads(output("swift", "package", *options, "show-dependencies", "--format", "json"))
    references = {component["name"]: component["bom-ref"] for component in components}
    found: dict[str, set[str]] = {reference: set() for reference in references.values()}

    def visit(node: Component, reference: str) -> None:
        for dependency in node["dependencies"]:
            found.setdefault(reference, set()).add(references[dependency["identity"]])
            visit(dependency, references[dependency["identity"]])

    visit(graph, root)
    known = {dependency["identity"] for dependency in graph["dependencies"]}
    others = {component["bom-ref"] for component in components if not component["bom-ref"].startswith("pkg:swift/")}
    assert known, "the program has no direct dependency"
    found[root] |= others
    for component in components:
        found[component["bom-ref"]] |= {contained["bom-ref"] for contained in component.get("components", [])}
    return [{"ref": reference, "dependsOn": sorted(found[reference])} for reference in sorted(found)]


def bill(components: list[Component], version: str, commit: str) -> Component:
    moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), tz=datetime.timezone.utc)
    root = f"pkg:github/progress-ledger/progress-ledger@{version}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{REPOSITORY}/commit/{commit}')}",
        "version": 1,
        "metadata": {
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "progress-ledger",
                "version": version,
                "licenses": license_of("Apache-2.0"),
                "purl": root,
                "externalReferences": [{"type": "vcs", "url": REPOSITORY}],
                "properties": [{"name": "progress-ledger:git:commit", "value": commit}],
            },
        },
        "components": components,
        "dependencies": edges(components, root),
    }


def notices(build: Path, components: list[Component]) -> str:
    """Joins the license and notice files of all that is linked statically. Equal texts appear once."""
    runtime = Path(os.path.realpath(output("which", "swift").strip())).parents[1] / "share" / "swift"
    folders = {"swift-runtime": runtime}
    for component in components:
        if component["bom-ref"].startswith("pkg:swift/") and component["scope"] == "required":
            folders[component["name"]] = build / "checkouts" / component["purl"].split("/")[-1].split("@")[0]
    owners: dict[str, list[str]] = {}
    for name, folder in folders.items():
        files = sorted(path for path in folder.iterdir() if re.match(r"(LICENSE|NOTICE)(\..*)?$", path.name))
        for contained in ("CNIOBoringSSL", "CCryptoBoringSSL", "CNIOLLHTTP"):
            files += sorted((folder / "Sources" / contained).glob("*LICENSE*"))
        assert files, f"{name} has no license file"
        for file in files:
            owners.setdefault(file.read_text(encoding="utf-8").strip(), []).append(f"{name}: {file.name}")
    parts = [f"{'=' * 80}\n" + "\n".join(names) + f"\n{'=' * 80}\n\n{text}\n" for text, names in owners.items()]
    return "The program contains these packages in compiled form.\n\n" + "\n".join(parts)


def main() -> None:
    build, program = Path(sys.argv[1]), Path(sys.argv[2])
    version, commit = sys.argv[3:5]
    components = [*swift_packages(build), swift_runtime(), *system_libraries(program)]
    text = json.dumps(bill(components, version, commit), indent=2, ensure_ascii=False) + "\n"
    Path(sys.argv[5]).write_text(text, encoding="utf-8")
    Path(sys.argv[6]).write_text(notices(build, components), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    main()
