"""Stand-ins for the chats' robots: they check what the real ones check, and answer as they do.

The signatures are computed here from the chats' own guides, not with the code under test.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

SECRET = "SEC-of-the-robot"


@dataclass
class StandIn:
    """What was taken, and how to answer next; ``now_s`` is the robot's own clock."""

    kind: str
    now_s: Callable[[], float]
    taken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    #: Answered instead, once each.
    answers: list[web.Response] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer as the robot of this kind would."""
        if self.answers:
            return self.answers.pop(0)
        body = json.loads(await request.read())
        assert request.content_type == "application/json"
        answer: web.Response = getattr(self, f"_{self.kind}")(request, body)
        return answer

    def _dingtalk(self, request: web.Request, body: Any) -> web.Response:
        timestamp, sign = request.query["timestamp"], request.query["sign"]
        # It takes what is not older than an hour.
        is_fresh = abs(int(timestamp) / 1000 - self.now_s()) < 3600
        own = _base64(hmac.new(SECRET.encode(), f"{timestamp}\n{SECRET}".encode(), hashlib.sha256))
        if request.query["access_token"] != "t" or sign != own or not is_fresh:
            self.refused.append(sign)
            return web.json_response({"errcode": 310000, "errmsg": "sign not match"})
        self.taken.append(body["markdown"]["text"])
        assert body["msgtype"] == "markdown" and body["markdown"]["title"]
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    def _wecom(self, request: web.Request, body: Any) -> web.Response:
        content = body["markdown"]["content"]
        if request.query["key"] != "k" or len(content.encode()) > 4096:
            self.refused.append(content)
            return web.json_response({"errcode": 93000, "errmsg": "invalid webhook url"})
        self.taken.append(content)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    def _feishu(self, request: web.Request, body: Any) -> web.Response:
        key = f"{body['timestamp']}\n{SECRET}"
        is_fresh = abs(int(body["timestamp"]) - self.now_s()) < 3600
        if body["sign"] != _base64(hmac.new(key.encode(), b"", hashlib.sha256)) or not is_fresh:
            self.refused.append(body["sign"])
            return web.json_response({"code": 19021, "msg": "sign match fail or timestamp"})
        assert body["msg_type"] == "text"
        self.taken.append(body["content"]["text"])
        return web.json_response({"code": 0, "msg": "success", "data": {}})

    def _slack(self, request: web.Request, body: Any) -> web.Response:
        if list(body) != ["text"]:
            return web.Response(status=400, text="invalid_payload")
        self.taken.append(body["text"])
        return web.Response(text="ok")


def _base64(mac: "hmac.HMAC") -> str:
    return base64.b64encode(mac.digest()).decode()


_PATHS = {
    "dingtalk": "/robot/send?access_token=t",
    "wecom": "/cgi-bin/webhook/send?key=k",
    "feishu": "/open-apis/bot/v2/hook/h",
    "slack": "/services/T/B/x",
}


@asynccontextmanager
async def standing_in(kind: str, now_s: Callable[[], float]) -> AsyncIterator[StandIn]:
    """Serve a robot of this kind."""
    made = StandIn(kind, now_s)
    app = web.Application()
    app.router.add_post(_PATHS[kind].partition("?")[0], made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}{_PATHS[kind]}"
    try:
        yield made
    finally:
        await runner.cleanup()
