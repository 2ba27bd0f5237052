"""The certificates that a client trusts, and its own."""

from __future__ import annotations

import logging
import os
import ssl

from .credentials import status_of_file
from .errors import InvalidValueError
from .losses import LossLog

# The modification time in nanoseconds, the size and the inode of each file.
_Version = tuple[tuple[int, int, int], ...]


class CertificateFiles:
    """The TLS settings in PEM files, which are read again when one of them changes.

    Certificates are replaced before they expire, while a task runs.
    """

    def __init__(self, authorities: str | None, certificate: str | None, key: str | None) -> None:
        # The task may change its working folder.
        self._authorities = os.path.abspath(authorities) if authorities else None
        self._certificate = os.path.abspath(certificate) if certificate else None
        self._key = os.path.abspath(key) if key else None
        # In one attribute, which threads replace as a whole: the files' version and their settings.
        self._last: tuple[_Version, ssl.SSLContext] | None = None
        self._log = LossLog()

    def read(self) -> ssl.SSLContext:
        """Returns the settings in the files.

        Without authorities the system's are trusted. Raises `InvalidValueError` if a file is missing or invalid, or if
        the key is not that of the certificate.
        """
        # Before the files are read: a change during the reading is noticed by the next call.
        version = self._version()
        last = self._last
        if last is not None and version == last[0]:
            return last[1]
        tls = trust_file(self._authorities) if self._authorities else ssl.create_default_context()
        if self._certificate or self._key:
            _present_certificate(tls, self._certificate, self._key)
        self._last = (version, tls)
        return tls

    def current(self) -> ssl.SSLContext:
        """Returns the settings in the files, or the last ones if the files cannot be used now.

        For example while only one of a certificate and its key is replaced. Raises `InvalidValueError` if the files
        have never been usable. Costs one `stat` for each file.
        """
        try:
            tls = self.read()
        except InvalidValueError as error:
            if self._last is None:
                raise
            self._log.log("certificates", "%s; the last certificates remain in use", error, level=logging.WARNING)
            return self._last[1]
        self._log.forget()
        return tls

    def _version(self) -> _Version:
        paths = [path for path in (self._authorities, self._certificate, self._key) if path]
        try:
            found = [os.stat(path) for path in paths]
        except OSError as error:
            raise InvalidValueError(f"the file {error.filename} cannot be read: {error.strerror}") from None
        return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)


def trust_file(path: str) -> ssl.SSLContext:
    """Returns settings that trust the certificates in this file instead of the system's.

    Raises `InvalidValueError` if the file has none.
    """
    try:
        status_of_file(path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise InvalidValueError(f"the file {path} has no certificates to trust: {error}") from None


def _present_certificate(tls: ssl.SSLContext, certificate: str | None, key: str | None) -> None:
    """Adds the certificate of the client, whose private key has no passphrase."""
    try:
        if not certificate or not key:
            raise ValueError("the certificate and its key need each other")
        for path in (certificate, key):
            status_of_file(path)
        # Without a function the library would ask for a passphrase on the terminal.
        tls.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise InvalidValueError(f"the files {certificate} and {key} have no certificate and key: {error}") from None
