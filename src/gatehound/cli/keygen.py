"""Make keys for `secret_keys` and `identity_key`."""

from __future__ import annotations

import secrets

import click

KEY_BYTES = 32  # 256 bits: as many as the HMAC-SHA-256 that they key gives out


@click.command()
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="How many keys to print, one a line.",
)
def keygen(count: int) -> None:
    """Print random keys, one a line, 43 characters each.

    secret_keys and identity_key must differ: make two.
    """
    for _ in range(count):
        click.echo(secrets.token_urlsafe(KEY_BYTES))
