"""Running the clients that others wrote: a script in Node.js, or in a Python of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt

from tests.node_process import REPOSITORY, SECRET, NodeProcess

HERE = Path(__file__).parent
MODULES = REPOSITORY / ".cache" / "node" / "node_modules"
WITHIN = 30.0


def token(user: str, *, expire_in: float = 600, secret: str = SECRET, **claims: Any) -> str:
    """Return a connection token, or with `channel` a subscription token."""
    now = int(time.time())
    return jwt.encode({"sub": user, "iat": now, "exp": now + expire_in, **claims}, secret, "HS256")


def facts_for(node: NodeProcess, **more: Any) -> str:
    """Return what a script is told about the node."""
    return json.dumps(
        {"url": node.url, "http_url": node.http_url, "api_key": node.api_key, **more}
    )


def start_script(node: NodeProcess, name: str, **more: Any) -> subprocess.Popen[str]:
    """Start a script of `js/`."""
    return subprocess.Popen(
        ["node", str(HERE / "js" / f"{name}.cjs"), facts_for(node, **more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"NODE_PATH": str(MODULES)},
    )


def run_script(node: NodeProcess, name: str, **more: Any) -> Any:
    """Run a script of `js/` to its end and return what it saw."""
    with start_script(node, name, **more) as script:
        try:
            out, error = script.communicate(timeout=WITHIN)
        except subprocess.TimeoutExpired:
            script.kill()
            raise
    assert script.returncode == 0, error
    return json.loads(out)


def run_python(node: NodeProcess, name: str, **more: Any) -> Any:
    """Run a Python script beside this file in its own process and return what it saw."""
    script = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), facts_for(node, **more)],
        capture_output=True, text=True, timeout=WITHIN, check=False,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert script.returncode == 0, script.stderr
    return json.loads(script.stdout)
