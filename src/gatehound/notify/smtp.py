"""Mail over SMTP: one message for each letter, as plain text and HTML.

Nothing that comes from outside reaches a header but the address of the recipient, which is checked
to be one plain address. The Message-ID is that of the letter, so that one which is sent again is
shown once. `Auto-Submitted` (RFC 3834) keeps absence notes from answering.
"""

from __future__ import annotations

import email.policy
import logging
import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from gatehound._notify_rules import Server, is_address
from gatehound.notify.channel import (
    LOGGER,
    TIMEOUT,
    Letter,
    LetterChannel,
    OutOfReach,
    Refused,
    Undelivered,
)

SHUTTING_DOWN: Final = 421

log: Final = logging.getLogger(LOGGER)


class Mail(LetterChannel):
    """Hands letters to a mail server."""

    name = "smtp"
    needs_address = True

    def __init__(self, server: Server, *, sender: str, sender_name: str) -> None:
        self._server = server
        self._sender = sender
        self._sender_name = sender_name

    def send(self, letter: Letter) -> None:
        """Send it to all of `to`; Refused where nobody there can be written to."""
        to = [address for address in letter.to if is_address(address)]
        if not to:
            raise Refused("no mail address, or none that is one plain address of ASCII")
        message = message_of(letter, to, self._sender, self._sender_name)
        try:
            link = self._connection()
            try:
                _hand_over(link, message, self._sender, to)
            finally:
                link.close()
        except (smtplib.SMTPException, OSError) as error:  # ssl.SSLError is an OSError
            raise OutOfReach(f"the mail server {self._server.host}: {_why(error)}") from None

    def _connection(self) -> smtplib.SMTP:
        server = self._server
        trust = ssl.create_default_context()
        if server.tls == "from_the_start":
            link: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT, context=trust
            )
        else:
            link = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
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
        refused = link.send_message(message, sender, to)
        if refused:
            log.warning("the mail server refused %d of %d recipients", len(refused), len(to))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _kind_of(codes)(f"the mail server took no recipient: {codes[0]}") from None
    except smtplib.SMTPDataError as error:
        raise _kind_of([error.smtp_code])(
            f"the mail server did not take the letter: {_why(error)}"
        ) from None
    finally:
        # Once the letter is taken, a connection that breaks must not have it sent twice.
        with suppress(smtplib.SMTPException, OSError):
            link.quit()


def message_of(letter: Letter, to: list[str], sender: str, sender_name: str) -> EmailMessage:
    """Make the message, headers first."""
    message = EmailMessage(policy=email.policy.SMTP)
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
