"""The bearer token of a client."""

from __future__ import annotations

import os
import stat

from .errors import InvalidValueError

_TOKEN_BYTES_MAX = 65_536


def check_token(token: str) -> str:
    """Returns the token. Raises `InvalidValueError` if it cannot be the value of a header."""
    if not isinstance(token, str) or not token or not (token.isascii() and token.isprintable()):
        raise InvalidValueError("the token contains invalid characters")
    return token


class TokenFile:
    """A token in a file, which is read again when it changes.

    Some systems replace a token while a task runs, such as Kubernetes for service accounts.
    """

    def __init__(self, path: str) -> None:
        # The task may change its working folder.
        self._path = os.path.abspath(path)
        # In one attribute, which threads replace as a whole: the file's version and its token.
        self._last: tuple[tuple[int, int, int], str] | None = None

    def read(self) -> str:
        """Returns the token in the file. Raises `InvalidValueError` if there is none."""
        try:
            status = status_of_file(self._path)
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            last = self._last
            if last is not None and version == last[0]:
                return last[1]
            with open(self._path, encoding="ascii") as file:
                content = file.read(_TOKEN_BYTES_MAX + 1).strip()
        except (OSError, ValueError) as error:
            raise InvalidValueError(f"the token file {self._path} cannot be read: {error}") from None
        if len(content) > _TOKEN_BYTES_MAX:
            raise InvalidValueError(f"the token file {self._path} has more than {_TOKEN_BYTES_MAX} bytes")
        token = check_token(content)
        self._last = (version, token)
        return token

    def current(self) -> str | None:
        """Returns the token in the file, or the last one if the file cannot be read now."""
        try:
            return self.read()
        except InvalidValueError:
            return None if self._last is None else self._last[1]


def status_of_file(path: str) -> os.stat_result:
    """Raises `ValueError` if it is not a regular file: reading from a pipe or a device could block for ever."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    return status
