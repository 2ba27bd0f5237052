"""The genuine SDK of Tilebox reads jobs of a real ledger, by both of its transports."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import textwrap
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from test_notebook import execute

from progress_ledger import Client, Job

from conftest import QUICK
from ledger_process import LedgerProcess

pytest.importorskip("tilebox.workflows", reason="Tilebox's SDK needs Python 3.11")

from _tilebox.grpc.error import ArgumentError, AuthenticationError, InvalidRequestError, NotFoundError
from tilebox.datasets.tilebox.v1 import id_pb2, query_pb2
from tilebox.workflows import Client as Tilebox
from tilebox.workflows.data import JobState, TaskState
from tilebox.workflows.workflows.v1 import core_pb2, job_pb2

MODULE = Path(__file__).parents[2] / "Sources" / "LedgerTilebox"
TRANSPORTS = ["http1", "grpc"]


@pytest.fixture(scope="module")
def server() -> Iterator[LedgerProcess]:
    process = LedgerProcess("--tilebox")
    yield process
    process.remove()


@pytest.fixture
def ledger(server: LedgerProcess) -> Iterator[Client]:
    with Client(server.url, settings=QUICK) as client:
        yield client


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def jobs(server: LedgerProcess, transport: Any, token: str = "unused") -> Any:
    return Tilebox(url=server.url, token=token, transport=transport).jobs()


def mosaic(ledger: Client, name: str, **tags: str) -> Job:
    """Creates a job with two indicators and two tasks, of which one runs."""
    job = ledger.jobs.create(name, tags=tags)
    with job.execution("first") as context:
        context.progress("tiles").add(10)
        context.progress("tiles").done(4)
        context.progress().add(1)
    job.execution("second").start().flush()
    return job


def test_the_documented_queries_work_without_a_change(server: LedgerProcess, ledger: Client, transport: str) -> None:
    job = mosaic(ledger, f"mosaic by {transport}")
    [sample] = re.findall(
        r"```python\n(.*?)```", (MODULE / "LedgerTilebox.docc" / "LedgerTilebox.md").read_text(), re.S
    )
    sample = sample.replace("http://127.0.0.1:8080", server.url)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(sample, {"TOKEN": "x", "TRANSPORT": transport, "JOB": job.id})
    assert output.getvalue().startswith("tiles: 4/10\nNone: 0/1\n")
    assert f"mosaic by {transport} RUNNING\n" in output.getvalue()


def test_a_job_is_found_by_id_and_by_a_key_that_is_a_uuid(
    server: LedgerProcess, ledger: Client, transport: str
) -> None:
    job = mosaic(ledger, "job")
    found = jobs(server, transport).find(job.id)
    assert (str(found.id), found.name, found.state) == (job.id, "job", JobState.RUNNING)
    assert [(p.label, p.done, p.total) for p in found.progress] == [("tiles", 4, 10), (None, 0, 1)]
    snapshot = job.refresh()
    assert found.submitted_at == snapshot.created_at
    assert found.execution_stats.first_task_started_at == snapshot.started_at
    assert found.execution_stats.tasks_by_state == {TaskState.RUNNING: 1, TaskState.COMPUTED: 1}
    assert found.execution_stats.elapsed_time.total_seconds() > 0
    key = uuid.uuid4()
    keyed = ledger.jobs.create("keyed", key=str(key))
    assert jobs(server, transport).find(key).name == "keyed"
    # A found job is found again.
    assert str(jobs(server, transport).find(jobs(server, transport).find(key)).id) == keyed.id


def test_queries_follow_pages_and_filters(server: LedgerProcess, ledger: Client, transport: str) -> None:
    name = f"many {transport}"
    ids = [ledger.jobs.create(name).id for _ in range(205)]
    client = jobs(server, transport)
    assert [str(job.id) for job in client.query(name=name.upper())] == ids[::-1]
    assert [str(job.id) for job in client.query((ids[3], ids[5]), name=name)] == ids[5:2:-1]
    middle = client.find(ids[100]).submitted_at
    assert len(client.query((middle, "2100-01-01"), name=name)) == 105
    assert client.query(("2000-01-01", middle), name=name)[0].id == uuid.UUID(ids[99])
    ledger.job(ids[7]).finish("failed")
    assert ledger.flush()
    states = client.query(job_states=[JobState.FAILED, JobState.COMPLETED], name=name)
    assert [str(job.id) for job in states] == [ids[7]]
    assert len(client.query(job_states=JobState.SUBMITTED, name=name)) == 204
    running = mosaic(ledger, name).id
    assert [str(job.id) for job in client.query(task_states=TaskState.RUNNING, name=name)] == [running]
    assert client.query(clusters="gpu") == []


def test_sums_beyond_64_bits_saturate(server: LedgerProcess, ledger: Client, transport: str) -> None:
    job = ledger.jobs.create("large")
    event = {"type": "progress", "task": "t", "label": "bytes", "total": 2**53 - 1, "done": 1}
    body = json.dumps([event] * 2_100).encode()
    request = urllib.request.Request(
        f"{server.url}/v1/jobs/{job.id}/events?wait=folded", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request):
        pass
    assert job.refresh().progress[0].total > 2**64
    [indicator] = jobs(server, transport).find(job.id).progress
    assert (indicator.done, indicator.total) == (2_100, 2**64 - 1)


def test_errors_are_those_of_the_sdk(server: LedgerProcess, transport: str) -> None:
    client = jobs(server, transport)
    unknown = uuid.uuid4()
    with pytest.raises(NotFoundError, match=f"There is no job {unknown} in this ledger"):
        client.find(unknown)
    with pytest.raises(ArgumentError, match="U\\+0000"):
        client.query(name="a\0")
    with pytest.raises(InvalidRequestError):
        client.cancel(client.query()[0])


@pytest.fixture(scope="module")
def protected() -> Iterator[tuple[LedgerProcess, dict[str, str]]]:
    """A ledger with tokens: their texts by name."""
    process = LedgerProcess("--tilebox")
    tokens = {
        "admin": process.create_token("admin", "--scope", "admin"),
        "team": process.create_token("team", "--scope", "read", "--tag", "team=a"),
        "reporter": process.create_token("reporter", "--scope", "report"),
    }
    yield process, tokens
    process.remove()


def test_a_token_reads_the_jobs_of_its_confinement(
    protected: tuple[LedgerProcess, dict[str, str]], transport: str
) -> None:
    server, tokens = protected
    with Client(server.url, tokens["admin"], settings=QUICK) as ledger:
        own, other = mosaic(ledger, "own", team="a").id, mosaic(ledger, "other", team="b").id
    client = jobs(server, transport, tokens["team"])
    assert client.find(own).name == "own"
    assert {job.name for job in client.query()} == {"own"}
    with pytest.raises(NotFoundError):
        client.find(other)
    for token, message in [("unknown", "Unauthenticated"), (tokens["reporter"], "Unauthorized")]:
        with pytest.raises(AuthenticationError, match=message):
            jobs(server, transport, token).find(own)


def test_a_job_is_shown_in_a_notebook(server: LedgerProcess, ledger: Client) -> None:
    job = mosaic(ledger, "shown")
    first = f"""
    from tilebox.workflows import Client
    job = Client(url={server.url!r}, token="x").jobs().find({job.id!r})
    """
    # The view refreshes itself in a thread, until the kernel would end.
    cells = [first, "job", "[bar.children[0].value for bar in job._widget.widgets[2:]]", "job._widget.stop()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells])
    executed = execute(notebook)
    assert "application/vnd.jupyter.widget-view+json" in executed.cells[1].outputs[0]["data"]
    assert executed.cells[2].outputs[0]["data"]["text/plain"] == "[4, 0]"


TELEMETRY = """
import logging, sys
from tilebox.workflows import Client
from tilebox.workflows.observability.logging import flush_api_logging, initialize_logging
from tilebox.workflows.observability._logging import task_logger
logging.basicConfig(level=logging.DEBUG)
client = Client(url=sys.argv[1], token="x")
initialize_logging(sys.argv[1], "x")
with client._tracer.span("test"):
    task_logger.error("a message")
assert client._tracer._tilebox_span_exporter.force_flush()
flush_api_logging(30_000)
"""


def test_spans_and_logs_of_the_sdk_are_accepted(server: LedgerProcess) -> None:
    result = subprocess.run(
        [sys.executable, "-c", TELEMETRY, server.url], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    for path in ("/v1/traces", "/v1/logs"):
        assert f'"POST {path} HTTP/1.1" 200' in result.stderr, result.stderr


SECURE = """
import sys
from tilebox.workflows import Client
job = Client(url=sys.argv[1], token="x").jobs().find(sys.argv[2])
print([(p.label, p.done, p.total) for p in job.progress])
"""


def test_grpc_with_tls_and_its_compression(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    process = LedgerProcess("--tilebox", "--tls-certificate", str(certificate), "--tls-key", str(key))
    try:
        trust = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate), "PROGRESS_LEDGER_CA_FILE": str(certificate)}
        url = process.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROGRESS_LEDGER_URL", url)
            patch.setenv("PROGRESS_LEDGER_CA_FILE", str(certificate))
            with Client(settings=QUICK) as ledger:
                job = mosaic(ledger, "secure")
        # The SDK reads its certificates from the environment once.
        result = subprocess.run(
            [sys.executable, "-c", SECURE, url, job.id],
            env={**os.environ, **trust, "OTEL_SDK_DISABLED": "true"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.stdout.strip() == "[('tiles', 4, 10), (None, 0, 1)]", result.stderr
    finally:
        process.remove()


TYPES = {1: "double", 3: "int64", 4: "uint64", 8: "bool", 9: "string", 12: "bytes"}


def test_the_messages_are_those_of_the_sdk() -> None:
    files = [module.DESCRIPTOR for module in (id_pb2, query_pb2, core_pb2, job_pb2)]
    theirs = {name: message for file in files for name, message in file.message_types_by_name.items()}
    enums = {name: enum for file in files for name, enum in file.enum_types_by_name.items()}
    fields = 0
    for path in (MODULE / "Protocol").glob("*.proto"):
        for kind, name, body in re.findall(r"^(message|enum) (\w+) \{\n(.*?)^\}", path.read_text(), re.S | re.M):
            if kind == "enum":
                values = {value: int(number) for value, number in re.findall(r"(\w+) = (\d+);", body)}
                assert values == {value.name: value.number for value in enums[name].values}, name
                continue
            assert theirs[name].full_name.startswith("tilebox.v1." if path.stem == "tilebox" else "workflows.v1.")
            for label, type, field, number in re.findall(r"(repeated|optional)? ?([\w.]+) (\w+) = (\d+);", body):
                their = theirs[name].fields_by_name[field]
                referred = their.message_type or their.enum_type
                found = referred.full_name if referred is not None else TYPES[their.type]
                assert found in (type, f"workflows.v1.{type}", f"tilebox.v1.{type}"), field
                assert (their.number, their.is_repeated) == (int(number), label == "repeated"), field
                fields += 1
    assert fields >= 40
