"""Encryption: trusted authorities, the client's own certificate, and their replacement while a client is in use."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger import Client, InvalidValueError, OutcomeUnknownError, Settings, UnavailableError
from progress_ledger.certificates import CertificateFiles

from conftest import Messages
from fault_proxy import FaultProxy
from ledger_process import LedgerProcess

OPENSSL = shutil.which("openssl") or "openssl"
# Each request has a new connection, and only one try.
ONCE = Settings(patience_seconds=0, idle_connection_seconds=0, pause_seconds_min=0.01, pause_seconds_max=0.1)
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """An authority that issues certificates, made with openssl."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._run(
            "req", "-x509", *NEW_KEY, "-days", "1", "-subj", f"/CN={folder.name}", "-out", "ca.pem", "-keyout", "ca.key"
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """Issues a certificate for localhost; returns its file and that of its key."""
        (self._folder / "names").write_text("subjectAltName=DNS:localhost")
        self._run("req", *NEW_KEY, "-subj", f"/CN={name}", "-out", "request.pem", "-keyout", f"{name}.key")
        command = ("-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1")
        self._run("x509", *command, "-extfile", "names", "-out", f"{name}.pem")
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _run(self, *arguments: str) -> None:
        subprocess.run([OPENSSL, *arguments], check=True, capture_output=True, cwd=self._folder)


@pytest.fixture
def old(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "new")


class SecureProxy:
    """A proxy of the ledger with TLS."""

    def __init__(self, ledger: str) -> None:
        self._proxy = FaultProxy(ledger)
        self.url = self._proxy.url.replace("http://127.0.0.1", "https://localhost")
        self._context: ssl.SSLContext | None = None
        self._proxy._server.get_request = self._accept  # type: ignore[method-assign]

    def use(self, authority: Authority, *, verifies_clients: bool = False) -> None:
        """Presents a certificate of this authority to new connections, and requires one of the client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server"))
        if verifies_clients:
            context.load_verify_locations(authority.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        self._context = context

    def _accept(self) -> object:
        connection, address = self._proxy._server.socket.accept()
        assert self._context is not None
        connection.settimeout(10)
        return self._context.wrap_socket(connection, server_side=True), address

    def close(self) -> None:
        self._proxy.close()


@pytest.fixture
def secure(server: LedgerProcess) -> Iterator[SecureProxy]:
    proxy = SecureProxy(server.url)
    yield proxy
    proxy.close()


class Files:
    """The files that the environment of a client names."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "client.pem", folder / "client.key"

    def trust(self, authority: Authority) -> None:
        self._replace(authority.certificate, self.ca)

    def present(self, pair: tuple[Path, Path]) -> None:
        self._replace(pair[0], self.certificate)
        self._replace(pair[1], self.key)

    @staticmethod
    def _replace(source: Path, target: Path) -> None:
        """Replaces a file at once, as tools that rotate certificates do."""
        copy = target.with_suffix(".new")
        shutil.copyfile(source, copy)
        os.replace(copy, target)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    files = Files(tmp_path / "files")
    monkeypatch.setenv("PROGRESS_LEDGER_CA_FILE", str(files.ca))
    monkeypatch.setenv("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE", str(files.certificate))
    monkeypatch.setenv("PROGRESS_LEDGER_CLIENT_KEY_FILE", str(files.key))
    return files


REFUSED = (UnavailableError, OutcomeUnknownError)


def test_https_requires_a_valid_certificate(
    secure: SecureProxy, old: Authority, new: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.use(old)
    with Client(secure.url, tls=ssl.create_default_context(cafile=str(old.certificate))) as ledger:
        job = ledger.jobs.create("encrypted")
        with job.execution("tile") as context:
            context.progress().done(1)
        job.finish()
        assert [snapshot.state for snapshot in job.watch()] == ["completed"]
    monkeypatch.setenv("PROGRESS_LEDGER_CA_FILE", str(old.certificate))
    with Client(secure.url) as ledger:
        assert ledger.jobs.create("trusted by the environment").id
    for authority in (str(new.certificate), ""):
        monkeypatch.setenv("PROGRESS_LEDGER_CA_FILE", authority)
        with pytest.raises(REFUSED, match="certificate"):
            Client(secure.url, settings=ONCE).jobs.create("not trusted")


def test_a_client_presents_the_certificate_of_its_environment(
    secure: SecureProxy, old: Authority, new: Authority, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.use(old, verifies_clients=True)
    files.trust(old)
    files.present(old.issue("client"))
    with Client(secure.url) as ledger:
        assert ledger.jobs.create("with a certificate").id
    files.present(new.issue("client"))
    with pytest.raises(REFUSED):
        Client(secure.url, settings=ONCE).jobs.create("with one of another authority")
    monkeypatch.delenv("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE")
    monkeypatch.delenv("PROGRESS_LEDGER_CLIENT_KEY_FILE")
    with pytest.raises(REFUSED):
        Client(secure.url, settings=ONCE).jobs.create("without a certificate")


def test_renewed_certificates_and_authorities_are_used_without_a_restart(
    secure: SecureProxy, old: Authority, new: Authority, files: Files
) -> None:
    secure.use(old, verifies_clients=True)
    files.trust(old)
    files.present(old.issue("client"))
    with Client(secure.url, settings=ONCE) as ledger:
        job = ledger.jobs.create("rotation")
        with job.execution("tile") as context:
            context.progress().done(1)
            assert context.flush()
            # Another authority for both sides: the client's files are old in every respect.
            secure.use(new, verifies_clients=True)
            with pytest.raises(REFUSED, match="certificate"):
                job.refresh()
            context.progress().done(1)
            files.trust(new)
            with pytest.raises(REFUSED):
                job.refresh()
            files.present(new.issue("client"))
            assert job.refresh().name == "rotation"
            context.progress().done(1)
        assert context.stats.dropped == 0
        assert job.refresh().progress[0].done == 3


def test_files_are_read_again_only_when_they_change(old: Authority, new: Authority, files: Files) -> None:
    files.trust(old)
    files.present(old.issue("client"))
    tls = CertificateFiles(str(files.ca), str(files.certificate), str(files.key))
    first = tls.current()
    assert tls.current() is first
    for change in (lambda: files.trust(new), lambda: files.present(new.issue("client"))):
        change()
        second = tls.current()
        assert second is not first
        assert tls.current() is second
        first = second


def test_the_last_certificates_remain_in_use_while_the_files_cannot_be_used(
    old: Authority, new: Authority, files: Files, messages: Messages
) -> None:
    files.trust(old)
    files.present(old.issue("client"))
    tls = CertificateFiles(str(files.ca), str(files.certificate), str(files.key))
    last = tls.current()
    certificate, key = new.issue("client")
    files._replace(certificate, files.certificate)
    assert tls.current() is last, "the key is not that of the certificate"
    assert tls.current() is last
    assert messages.count("the last certificates remain in use") == 1
    files._replace(key, files.key)
    assert tls.current() is not last
    for count, broken in enumerate((files.ca, files.certificate, files.key), 2):
        last, content = tls.current(), broken.read_bytes()
        broken.write_bytes(content[:60])
        assert tls.current() is last, "a file is incomplete"
        broken.unlink()
        assert tls.current() is last, "a file is missing"
        os.mkfifo(broken)
        assert tls.current() is last, "a file is a pipe"
        broken.unlink()
        broken.write_bytes(content)
        assert tls.current() is not last
        assert messages.count("the last certificates remain in use") == count
    assert set(messages.levels()) == {"WARNING"}


def test_relative_paths_of_certificates_survive_a_change_of_the_folder(
    old: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(old.certificate.parent)
    tls = CertificateFiles("ca.pem", None, None)
    monkeypatch.chdir("/")
    assert tls.current().get_ca_certs()[0]["subject"] == ((("commonName", "old"),),)


@pytest.mark.parametrize("pair", [("client.pem", None), (None, "client.key"), ("client.pem", "ca.pem")])
def test_a_certificate_and_its_key_need_each_other(
    pair: tuple[str | None, str | None], old: Authority, files: Files
) -> None:
    files.trust(old)
    files.present(old.issue("client"))
    paths = [name and str(files.ca.parent / name) for name in pair]
    with pytest.raises(InvalidValueError, match="have no certificate and key"):
        CertificateFiles(str(files.ca), paths[0], paths[1]).read()
