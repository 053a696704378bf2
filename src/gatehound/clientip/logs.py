"""Put the client's address into log records: `ClientIPFilter`."""

from __future__ import annotations

import logging

from gatehound.clientip.current import CURRENT


class ClientIPFilter(logging.Filter):
    """Set `client_ip` and `client_ip_reason` on every record, for `%(client_ip)s` in a format.

    Put it on a logging.Handler: the filters of a logger do not see what its children log.
    Before a queue, put it on the QueueHandler, because the listener's thread serves no
    request. A record that carries `client_ip_reason` keeps what it has.

    `client_ip` is the address as text, which holds digits, letters, dots and colons only, or
    "-". `client_ip_reason` is the answer's reason, or "-" outside of a request, so that an
    unresolved client ("-" and "header-missing") and no client ("-" and "-") can be told
    apart. With a `name`, records of other loggers are dropped, as logging.Filter does.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Dress one record."""
        if not hasattr(record, "client_ip_reason"):
            answer = CURRENT.get()
            record.client_ip = (answer.text if answer else "") or "-"
            record.client_ip_reason = answer.reason if answer else "-"
        return bool(super().filter(record))
