"""`python -m mnistcli` is `mnistcli`."""

from mnistcli.cli import app

app(prog_name="mnistcli")
