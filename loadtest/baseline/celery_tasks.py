"""Baseline of the hand-off: a task per event on Celery, with Redis as its broker.

What a conventional team runs: the event is the argument of a task, the task signs with the official
library of Standard Webhooks and posts with ``requests``. It is meant to be a fair comparison: one
session with keep-alive per process, no results, no gossip, events are prefetched. It does less than
the dispatcher: it reads no order, keeps no order per order, writes no log of its attempts, and what
is staged is not in the transaction of the order.

    celery -A loadtest.baseline.celery_tasks worker -Q handoff --concurrency 2
"""

import json
import os
from datetime import UTC, datetime
from typing import Any

import requests
from celery import Celery
from standardwebhooks import Webhook

QUEUE = "handoff"
_CALL_S = 10.0

app = Celery("plain", broker=os.environ["PLAIN_REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    # A task that a killed worker had begun is run again, as a hand-off needs.
    task_acks_late=True,
    task_default_queue=QUEUE,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)

_url = os.environ["PLAIN_TARGET_URL"]
_webhook = Webhook(os.environ["PLAIN_SECRET"])
_session = requests.Session()
# The proxies of the environment are looked up once, not for each request.
_session.trust_env = False


@app.task(name="deliver", bind=True, max_retries=8)  # type: ignore[untyped-decorator]  # no types
def deliver(task: Any, event: dict[str, Any]) -> None:
    """Post one event; try again later when it is not answered with a 2xx."""
    body = json.dumps(event)
    event_id, now = event["data"]["event_id"], datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": _webhook.sign(event_id, now, body),
    }
    try:
        _session.post(_url, data=body, headers=headers, timeout=_CALL_S).raise_for_status()
    except requests.RequestException as problem:
        raise task.retry(exc=problem, countdown=2**task.request.retries) from None
