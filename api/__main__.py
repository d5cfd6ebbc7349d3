"""`python -m api`: the operator's commands."""

from api.commands import app

app()
