"""The work queue: Celery over Redis or Valkey, carrying a task id and nothing else.

Settings follow what was measured for Celery 5.7 on Redis: late acknowledgement, no prefetch, two queues of which
`stat` is always emptied first. A message that Celery loses or runs twice does no harm, the task table decides.
"""

from __future__ import annotations

from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError, OperationalError

from gateway.domain.errors import Unavailable
from gateway.domain.ids import InstanceId, TaskId
from gateway.domain.study import Priority

INFER = "dxgate.infer"  # wire law: the name that sweeper and workers of all versions share
MASK = "dxgate.mask"  # wire law too
QUEUES = ("stat", "routine")  # in the order in which workers empty them


def celery_app(broker_url: str) -> Celery:
    """A Celery application on `broker_url`, without result backend: results are rows in the database."""
    app = Celery("dxgate", broker=broker_url, set_as_current=True)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_queues=[Queue(name) for name in QUEUES],
        task_default_queue="routine",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": 3600,
            "queue_order_strategy": "priority",
            "socket_connect_timeout": 2,
            "socket_timeout": 5,
        },
        broker_connection_timeout=2,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    return app


class CeleryDoorbell:
    """Rings by sending a message to the queue of the task's priority."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app(broker_url)

    def ring(self, task_id: TaskId, priority: Priority) -> None:
        self._send(INFER, task_id, priority)

    def ring_pixels(self, instance_id: InstanceId, priority: Priority) -> None:
        self._send(MASK, instance_id, priority)

    def _send(self, name: str, row_id: str, priority: Priority) -> None:
        try:
            self._app.send_task(name, args=[row_id], queue=priority, retry=False)
        except (OperationalError, KombuError, OSError) as error:
            raise Unavailable(f"the broker does not answer ({type(error).__name__})") from None
