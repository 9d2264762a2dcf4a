"""Alerts by e-mail: one message over SMTP, with the standard library's client in a thread."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal

from msgspec import Struct

from gateway.domain import alerts
from gateway.domain.alerts import Message

_CALL_S = 8.0


class Smtp(Struct, frozen=True):
    """A server and how to talk to it. ``user`` empty: nobody signs in."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    user: str
    password: str
    context: ssl.SSLContext | None = None


class EmailChannel:
    """Sends alerts to addresses. ``send`` never raises for what the server does."""

    def __init__(self, *, smtp: Smtp, sender: str, to: Sequence[str]) -> None:
        self._smtp = smtp
        self._sender = sender
        self._to = list(to)

    async def send(self, messages: Sequence[Message]) -> str:
        """Send messages as one mail; return why the server did not take it, or ""."""
        return await asyncio.to_thread(self._send, self._mail(messages))

    async def close(self) -> None:
        """Nothing stays open between two mails."""

    def _mail(self, messages: Sequence[Message]) -> EmailMessage:
        mail = EmailMessage()
        first = alerts.title(messages[0])
        more = f" and {len(messages) - 1} more" if len(messages) > 1 else ""
        mail["Subject"] = f"[Tidegate] {first}{more}"
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Date"] = format_datetime(messages[0].at)
        mail["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        # No answer to it by machines (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join("\n".join(alerts.lines(each)) for each in messages) + "\n")
        return mail

    def _send(self, mail: EmailMessage) -> str:
        smtp = self._smtp
        context = smtp.context or ssl.create_default_context()
        try:
            with (
                smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=_CALL_S, context=context)
                if smtp.tls == "tls"
                else smtplib.SMTP(smtp.host, smtp.port, timeout=_CALL_S)
            ) as server:
                if smtp.tls == "starttls":
                    server.starttls(context=context)
                if smtp.user:
                    server.login(smtp.user, smtp.password)
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as exc:
            return f"the server answered {exc.smtp_code}"
        except (smtplib.SMTPException, OSError, ValueError) as exc:
            return f"no answer of the server ({type(exc).__name__})"
        return f"the server refused {len(refused)} of {len(self._to)} addresses" if refused else ""
