"""The published sdist and wheel contain all that a user needs."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

import progress_ledger

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "Sources" / "python-client"
REPOSITORY = "https://github.com/progress-ledger/progress-ledger/"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with an sdist and a wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(PACKAGE)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def contents(built: Path) -> dict[str, dict[str, bytes]]:
    """The files of both, by their path within the package."""
    (sdist,) = built.glob("*.tar.gz")
    (wheel,) = built.glob("*.whl")
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        files = {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in members
        }
    with zipfile.ZipFile(wheel) as zipped:
        return {"sdist": files, "wheel": {name: zipped.read(name) for name in zipped.namelist()}}


def test_sdist_and_wheel_contain_the_license_the_readme_and_the_marker_of_types(built: Path) -> None:
    files = contents(built)
    license = (PROJECT / "LICENSE").read_bytes()
    assert (PACKAGE / "LICENSE").read_bytes() == license, "the package has the project's license"
    assert files["sdist"]["LICENSE"] == license
    (in_wheel,) = [name for name in files["wheel"] if name.endswith("LICENSE")]
    assert files["wheel"][in_wheel] == license
    assert "src/progress_ledger/py.typed" in files["sdist"]
    assert "progress_ledger/py.typed" in files["wheel"]
    assert "README.md" in files["sdist"]
    assert any(name.startswith("examples/") for name in files["sdist"])
    modules = {str(path.relative_to(PACKAGE / "src")) for path in (PACKAGE / "src").glob("*/*.py")}
    assert modules == {name for name in files["wheel"] if name.endswith(".py")}
    # No temporary files of a working folder.
    assert not [name for kind in files.values() for name in kind if "__pycache__" in name or ".build" in name]


def test_the_metadata_names_the_license_and_contains_the_readme(built: Path) -> None:
    files = contents(built)
    (name,) = [name for name in files["wheel"] if name.endswith("METADATA")]
    for text in (files["wheel"][name], files["sdist"]["PKG-INFO"]):
        metadata = email.message_from_bytes(text)
        assert metadata["License-Expression"] == "Apache-2.0"
        assert metadata.get_all("License-File") == ["LICENSE"]
        assert (PACKAGE / "README.md").read_text() in text.decode()


def test_the_version_is_that_of_the_server(built: Path) -> None:
    (version,) = re.findall(r'^let version = "(.*)"$', (PROJECT / "Package.swift").read_text(), flags=re.MULTILINE)
    assert progress_ledger.__version__ == version
    files = contents(built)
    (name,) = [name for name in files["wheel"] if name.endswith("METADATA")]
    # The wheel was built from the sdist, which does not contain Package.swift.
    for text in (files["wheel"][name], files["sdist"]["PKG-INFO"]):
        assert email.message_from_bytes(text)["Version"] == version
    with pytest.raises(AttributeError):
        _ = progress_ledger.nonsense


def test_the_readme_links_work_outside_of_the_repository() -> None:
    text = re.sub(r"```.*?```", "", (PACKAGE / "README.md").read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)]*)\)|^\[[^]]*\]: (.*)$", text, flags=re.MULTILINE)
    links = [inline or reference for inline, reference in links]
    assert any(link.startswith(REPOSITORY) for link in links)
    for link in links:
        assert link.startswith(("https://", "#")), link
        if link.startswith(REPOSITORY):
            path = re.sub(r"^(blob|tree)/main/", "", link[len(REPOSITORY) :])
            assert (PROJECT / path).exists(), f"{link} leads nowhere"


def test_the_import_of_the_package_imports_neither_asyncio_nor_http(tmp_path: Path) -> None:
    """Their import takes longer than that of everything else."""
    source = """
        import sys
        from progress_ledger import Client, progress, current
        heavy = {"asyncio", "concurrent.futures", "email", "http.client", "ssl", "uuid"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        with Client().job().execution("tile"):
            progress("a").done(1)
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        import progress_ledger
        for name in progress_ledger.__all__:
            assert getattr(progress_ledger, name).__name__ == name
        assert set(progress_ledger.__all__) <= set(dir(progress_ledger))
        """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
