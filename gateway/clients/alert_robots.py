"""The robots of chats: how each is signed, what it takes, and what it answers.

Sources: DingTalk open platform, "Custom robot security settings"; Feishu open platform, "Custom bot
usage guide"; WeCom developer centre, "Group robot configuration"; Slack API, "Sending messages
using incoming webhooks". What they say of rates: DingTalk and WeCom 20 a minute (DingTalk then
takes none for ten minutes), Feishu 5 a second and 100 a minute, Slack one a second.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gateway.clients.http_client import Answer

#: WeCom takes 4,096 bytes, the others more.
TEXT_BYTES_MAX = 4000


class Post(Struct, frozen=True):
    """What to send: ``url`` with its signature, and the JSON body."""

    url: str
    body: bytes


class Robot(Struct, frozen=True):
    """A kind of robot.

    ``post``: makes the request of the URL, the secret ("": none), the title, the text and the Unix
    time in seconds. ``refusal``: what an answer of 200 says against it, or "". ``per_minute``: how
    many messages it takes.
    """

    post: Callable[[str, str, str, str, float], Post]
    refusal: Callable[[bytes], str]
    per_minute: int


def _dingtalk(url: str, secret: str, title: str, text: str, now_s: float) -> Post:
    if secret:
        timestamp = f"{now_s * 1000:.0f}"
        sign = _hmac(secret, f"{timestamp}\n{secret}")
        mark = "&" if "?" in url else "?"
        url = f"{url}{mark}timestamp={timestamp}&sign={quote(sign, safe='')}"
    # One blank line ends a paragraph in their Markdown; a single line break is a blank.
    markdown = {"title": title, "text": text.replace("\n", "\n\n")}
    return Post(url, _json({"msgtype": "markdown", "markdown": markdown}))


def _wecom(url: str, secret: str, title: str, text: str, now_s: float) -> Post:
    return Post(url, _json({"msgtype": "markdown", "markdown": {"content": text}}))


def _feishu(url: str, secret: str, title: str, text: str, now_s: float) -> Post:
    body: dict[str, object] = {"msg_type": "text", "content": {"text": text}}
    if secret:
        timestamp = f"{now_s:.0f}"
        # The text is the key, and nothing is signed with it: as their guide has it.
        body = {"timestamp": timestamp, "sign": _hmac(f"{timestamp}\n{secret}", ""), **body}
    return Post(url, _json(body))


def _slack(url: str, secret: str, title: str, text: str, now_s: float) -> Post:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Post(url, _json({"text": escaped}))


class _Errcode(Struct):
    errcode: int
    errmsg: str = ""


class _Code(Struct):
    code: int
    msg: str = ""


def _errcode_refusal(body: bytes) -> str:
    answer = msgspec.json.decode(body, type=_Errcode)
    return f"errcode {answer.errcode}: {_safe(answer.errmsg)}" if answer.errcode else ""


def _code_refusal(body: bytes) -> str:
    answer = msgspec.json.decode(body, type=_Code)
    return f"code {answer.code}: {_safe(answer.msg)}" if answer.code else ""


def _slack_refusal(body: bytes) -> str:
    return "" if body.strip() == b"ok" else "answered something else than ok"


ROBOTS = {
    "dingtalk": Robot(_dingtalk, _errcode_refusal, 20),
    "wecom": Robot(_wecom, _errcode_refusal, 20),
    "feishu": Robot(_feishu, _code_refusal, 100),
    "slack": Robot(_slack, _slack_refusal, 60),
}


def text_of(blocks: Sequence[Sequence[str]]) -> str:
    """Return messages as one text, each a block of lines, cut to what every robot takes."""
    whole = "\n\n".join("\n".join(block) for block in blocks)
    encoded = whole.encode()
    if len(encoded) <= TEXT_BYTES_MAX:
        return whole
    return encoded[: TEXT_BYTES_MAX - 4].decode(errors="ignore") + "\n…"


def refusal(robot: Robot, answer: Answer) -> str:
    """Return why a robot did not take a message, in a few words; "" where it did."""
    if answer.status != 200:
        return f"answered {answer.status}"
    try:
        return robot.refusal(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "answered 200 with something else than its protocol says"


def _hmac(key: str, text: str) -> str:
    digest = hmac.digest(key.encode(), text.encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _safe(text: str) -> str:
    """Return the start of a server's own text, printable."""
    return "".join(char if char.isprintable() else " " for char in text[:120])
