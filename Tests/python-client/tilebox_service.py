"""A scheduler with the interface of Tilebox Workflows, for real runners of Tilebox's SDK."""

from __future__ import annotations

import threading
import uuid
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from tilebox.workflows.workflows.v1 import core_pb2, task_pb2, task_pb2_grpc, workflows_pb2, workflows_pb2_grpc


class TileboxService(task_pb2_grpc.TaskServiceServicer, workflows_pb2_grpc.WorkflowsServiceServicer):  # type: ignore[misc]
    """Hands tasks to runners. A task that fails is queued again with one more retry."""

    def __init__(self, name: str) -> None:
        self.job = uuid.uuid4()
        self._job = core_pb2.Job(name=name)
        self._job.id.uuid = self.job.bytes
        self._lock = threading.Lock()
        self._tasks: dict[bytes, Any] = {}
        self._queue: list[bytes] = []
        self.computed: list[Any] = []
        self.failed: list[Any] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        task_pb2_grpc.add_TaskServiceServicer_to_server(self, self._server)
        workflows_pb2_grpc.add_WorkflowsServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{port}"
        self._server.start()

    def submit(self, name: str) -> bytes:
        """Queues a task of this class, and returns its id."""
        task = core_pb2.Task(state=core_pb2.TASK_STATE_QUEUED, display=name, job=self._job)
        task.id.uuid = uuid.uuid4().bytes
        task.identifier.name, task.identifier.version = name, "v0.0"
        task.lease.lease.seconds = task.lease.recommended_wait_until_next_extension.seconds = 60
        self._tasks[task.id.uuid] = task
        self.deliver(task.id.uuid)
        return bytes(task.id.uuid)

    def deliver(self, task: bytes) -> None:
        """Queues a task again, as after the end of its lease."""
        with self._lock:
            self._queue.append(task)

    def close(self) -> None:
        self._server.stop(None).wait()

    # The interface

    def GetCluster(self, request: Any, context: Any) -> Any:
        return workflows_pb2.Cluster(slug="test", display_name="test")

    def NextTask(self, request: Any, context: Any) -> Any:
        with self._lock:
            if request.computed_task.id.uuid:
                self.computed.append(request.computed_task)
            if request.HasField("next_task_to_run") and self._queue:
                return task_pb2.NextTaskResponse(next_task=self._tasks[self._queue.pop(0)])
        return task_pb2.NextTaskResponse(
            idling=task_pb2.IdlingResponse(suggested_idling_duration=Duration(nanos=10_000_000))
        )

    def TaskFailed(self, request: Any, context: Any) -> Any:
        with self._lock:
            self.failed.append(request)
            self._tasks[request.task_id.uuid].retry_count += 1
            self._queue.append(request.task_id.uuid)
        return task_pb2.TaskStateResponse(state=core_pb2.TASK_STATE_QUEUED)

    def ExtendTaskLease(self, request: Any, context: Any) -> Any:
        return core_pb2.TaskLease()
