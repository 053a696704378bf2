"""The app of these tests in Flask."""

from __future__ import annotations

from typing import Any

from deeds import OUTCOMES, plain_deed
from flask import Flask, jsonify, request

import gatehound


def flask() -> Any:
    """Plain views of Flask."""
    app = Flask("gatehound-tests")

    @app.route("/<name>", methods=["GET", "POST"])
    def answer(name: str) -> Any:
        result = plain_deed(name, gatehound.current(request))
        return jsonify(result), OUTCOMES.get(name, 200)

    return app
