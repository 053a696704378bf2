"""Mail over SMTP: one message for each letter, as plain text and HTML.

Nothing that comes from outside reaches a header but the address of the recipient, which is checked
to be one plain address. The Message-ID is that of the letter, so that one which is sent again is
shown once. `Auto-Submitted` (RFC 3834) keeps absence notes from answering.
"""

from __future__ import annotations

import email.policy
import logging
import smtplib
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from gatehound._notify_rules import Server, is_address
from gatehound.notify.channel import (
    DEADLINE,
    LOGGER,
    TIMEOUT,
    Letter,
    LetterChannel,
    OutOfReach,
    Refused,
    Undelivered,
)
from gatehound.notify.deadline import Deadline

SHUTTING_DOWN: Final = 421

log: Final = logging.getLogger(LOGGER)

# RFC 5321, 4.5.1.1 asks each server for 7 bits alone: what has more is sent as quoted-printable.
POLICY: Final = email.policy.SMTP.clone(cte_type="7bit")


class _Link(smtplib.SMTP):
    """A connection that a deadline cuts; `trust` where TLS is there from the start."""

    def __init__(self, server: Server, deadline: Deadline, trust: ssl.SSLContext | None) -> None:
        self._deadline, self._trust = deadline, trust
        super().__init__(server.host, server.port, timeout=TIMEOUT)  # connects

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        link = self._deadline.connect((host, port), timeout)
        return self._trust.wrap_socket(link, server_hostname=host) if self._trust else link


class Mail(LetterChannel):
    """Hands letters to a mail server."""

    name = "smtp"
    needs_address = True

    def __init__(self, server: Server, *, sender: str, sender_name: str) -> None:
        self._server = server
        self._sender = sender
        self._sender_name = sender_name

    def send(self, letter: Letter) -> None:
        """Send it to all of `to`; Refused where nobody there can be written to.

        Undelivered where the server wants one of them later; its `done` are all others.
        """
        to = [address for address in letter.to if is_address(address)]
        if not to:
            raise Refused("no mail address, or none that is one plain address of ASCII")
        message = message_of(letter, to, self._sender, self._sender_name)
        with Deadline(DEADLINE) as deadline:
            try:
                link = self._connection(deadline)
                try:
                    _hand_over(link, message, self._sender, to)
                finally:
                    link.close()
            except (smtplib.SMTPException, OSError) as error:  # ssl.SSLError is an OSError
                why = _why(deadline.told(error))
                raise OutOfReach(f"the mail server {self._server.host}: {why}") from None

    def _connection(self, deadline: Deadline) -> smtplib.SMTP:
        trust = ssl.create_default_context()
        link = _Link(
            self._server, deadline, trust if self._server.tls == "from_the_start" else None
        )
        try:
            self._greet(link, trust)
        except BaseException:
            link.close()
            raise
        return link

    def _greet(self, link: smtplib.SMTP, trust: ssl.SSLContext) -> None:
        server = self._server
        link.ehlo_or_helo_if_needed()
        if server.tls == "always" or (server.tls == "able" and link.has_extn("starttls")):
            link.starttls(context=trust)  # raises where it is not offered: MUST NOT go on in clear
        if server.user:
            link.login(server.user, server.password)


def _hand_over(link: smtplib.SMTP, message: EmailMessage, sender: str, to: list[str]) -> None:
    """Send it, and tell what the server said of it from what befell the connection."""
    try:
        _check(link.send_message(message, sender, to), to)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _kind_of(codes)(
            f"the mail server took no recipient: {min(codes)}", done=_never(error.recipients)
        ) from None
    except smtplib.SMTPDataError as error:
        raise _kind_of([error.smtp_code])(
            f"the mail server did not take the letter: {_why(error)}"
        ) from None
    finally:
        # Once the letter is taken, a connection that breaks must not have it sent twice.
        with suppress(smtplib.SMTPException, OSError):
            link.quit()


def _check(refused: Mapping[str, tuple[int, bytes]], to: list[str]) -> None:
    """Ask for another time for whom the server wants later, where it took the others."""
    if not refused:
        return
    log.warning("the mail server refused %d of %d recipients", len(refused), len(to))
    later = refused.keys() - _never(refused)
    if later:
        code = max(refused[one][0] for one in later)
        raise Undelivered(
            f"the mail server took {len(to) - len(refused)} of {len(to)} recipients: {code}",
            done=[one for one in to if one not in later],
        )


def _never(refused: Mapping[str, tuple[int, bytes]]) -> set[str]:
    return {address for address, (code, _) in refused.items() if 500 <= code < 600}


def message_of(letter: Letter, to: list[str], sender: str, sender_name: str) -> EmailMessage:
    """Make the message, headers first."""
    message = EmailMessage(policy=POLICY)
    message["From"] = Address(sender_name, addr_spec=sender)
    message["To"] = [Address(addr_spec=address) for address in to]
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(letter.at, UTC))
    message["Message-ID"] = f"<{letter.key}.gatehound@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    message["Content-Language"] = letter.language  # a content replaces headers of its kind
    return message


def _kind_of(codes: list[int]) -> type[Undelivered]:
    """Tell "never" from "later", and from a server that closes (RFC 5321, 4.2.1 and 3.8)."""
    if SHUTTING_DOWN in codes:
        return OutOfReach
    return Refused if all(500 <= code < 600 for code in codes) else Undelivered


def _why(error: Exception) -> str:
    """Say what went wrong in one printable line; never what was sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        words = said.decode("ascii", "replace") if isinstance(said, bytes) else str(said)
        text = f"{error.smtp_code} {words}"
    else:
        text = str(error) or type(error).__name__
    return "".join(one if one.isprintable() else " " for one in text)[:200]
