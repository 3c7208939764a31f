"""A full disk: 503 with Retry-After, nothing acknowledged is lost, and it accepts again when there is room."""
import os
import subprocess

import pytest

from conftest import wait_for


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"no right to mount a tmpfs: {made.stderr.decode().strip()}")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_disk_full_is_refused_and_recovers(make_engine, small_disk):
    engine = make_engine()
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text() + f"data: {small_disk}/data\n")
    engine.start()
    body = b'{"ref":"refs/heads/main","pad":"' + os.urandom(10_000).hex().encode() + b'"}'
    acknowledged, refused = [], None
    for number in range(2000):
        status, answer, headers = engine.push(body, delivery=f"d-{number}")
        if status == 202:
            acknowledged.append(answer["event"])
        else:
            refused = status, answer, headers
            break
    assert refused and refused[0] == 503 and 1 <= int(refused[2]["Retry-After"]) <= 30, refused
    assert engine.process.poll() is None
    assert engine.request("GET", "/healthz")[0] in (200, 503)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    wait_for("it to accept again", lambda: engine.push(body)[0] == 202)
    stored = {row["event"] for row in engine.rows("events", "--limit", "5000")}
    assert set(acknowledged) <= stored
    assert engine.stop() == 0
    engine.start()
    assert set(acknowledged) <= {row["event"] for row in engine.rows("events", "--limit", "5000")}
    assert engine.stop() == 0
