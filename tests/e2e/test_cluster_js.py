"""The official JavaScript SDK in a cluster: its node is killed, and it misses nothing."""

from __future__ import annotations

from pathlib import Path

from tests.cluster_process import running_cluster
from tests.e2e.scripts import run_script
from tests.servers.standalone import RedisServer


def test_a_client_whose_node_is_killed_recovers_everything_on_another(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with running_cluster(tmp_path, redis_server.url) as (a, b, c):
        seen = run_script(a, "failover", pid=b.pid, ports=[b.port, c.port], missed=20)
        assert seen["numbers"] == list(range(22))
        assert seen["offsets"] == list(range(1, 23))
        assert (seen["wasRecovering"], seen["recovered"]) == (True, True)
        assert seen["states"][:1] == ["connecting"]
        assert seen["states"][-1] == "connected"
        b.process.wait()
