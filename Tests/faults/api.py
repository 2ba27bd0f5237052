"""Requests to a server over plain HTTP, without any client of the ledger."""

import http.client
import json


class Unsent(Exception):
    """There was no connection, so the server received nothing of the request."""


class Lost(Exception):
    """The response was lost or late: the request may have been carried out."""


class Response:
    """A status with a JSON body."""

    def __init__(self, status, body):
        self.status = status
        self.text = body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def title(self):
        """The title of a problem, such as 'Outcome unknown'."""
        return self.json.get("title", "") if self.text.startswith("{") else ""

    def __str__(self):
        return f"{self.status} {self.text[:300]}"


class Client:
    """Sends requests to any of several servers; for one thread."""

    def __init__(self, servers, seconds=8):
        self.servers = servers
        self.seconds = seconds
        self.connections = {}

    def send(self, random, method, path, body=None, content_type="application/json", accept="application/json"):
        """Sends a request to one of the servers that listen, and returns its response."""
        ports = [port for server in self.servers if (port := server.port) is not None]
        if not ports:
            raise Unsent("no server listens")
        return self.send_to(random.choice(ports), method, path, body, content_type, accept)

    def send_to(self, port, method, path, body=None, content_type="application/json", accept="application/json"):
        """Sends a request to the server at a port, and returns its response."""
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
            body = body.encode("utf-8")
        connection = self._connection(port)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Response(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connections.pop(port).close()
            raise Lost(f"{type(error).__name__}: {error}") from error

    def _connection(self, port):
        if port not in self.connections:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self.seconds)
            try:
                connection.connect()
            except OSError as error:
                raise Unsent(str(error)) from error
            self.connections[port] = connection
        return self.connections[port]


def ndjson(values):
    """Returns the values as lines of JSON."""
    return "".join(json.dumps(value) + "\n" for value in values)
