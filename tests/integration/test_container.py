"""The engine as the first process of a container: here of a process namespace of its own."""
import os
import signal
import subprocess

import pytest

from conftest import BINARY, ONE_STEP, children_of, is_gone, state_of, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a process namespace")


@pytest.fixture
def contained(make_engine):
    engine = make_engine()
    engine.write("workflows/one-step.yaml", ONE_STEP)
    engine.apart = engine.write("apart", f'#!/bin/sh\nexec unshare --pid --fork --kill-child --mount-proc {BINARY} "$@"\n', 0o755)
    return engine


def test_it_buries_who_has_no_parent_any_more(contained):
    contained.start(binary=contained.apart)
    [first] = children_of(contained.process.pid)
    [engine] = children_of(first)
    contained.push()
    contained.finished_runs(1)
    subprocess.run(["nsenter", f"--target={first}", "--pid", "setsid", "--fork", "sleep", "1000"], check=True, stdin=subprocess.DEVNULL)
    orphan = wait_for("the orphan", lambda: [pid for pid in children_of(first) if pid != engine])[0]
    os.kill(orphan, signal.SIGKILL)
    wait_for("its burial", lambda: state_of(orphan) == "gone")
    assert children_of(first) == [engine]
    os.kill(first, signal.SIGKILL)
    contained.process.wait(60)
    wait_for("the end of all", lambda: is_gone(engine))


def test_it_hands_signals_on_and_ends_as_the_engine_does(contained):
    contained.start(binary=contained.apart)
    [first] = children_of(contained.process.pid)
    contained.write("workflows/one-step.yaml", ONE_STEP.replace("pushed", "pushed once more"))
    os.kill(first, signal.SIGHUP)
    contained.wait_log("catalog.activated")
    os.kill(first, signal.SIGTERM)
    assert contained.process.wait(60) == 0
    contained.process = None
    contained.write("bellwire.yaml", "listen: nowhere\n")
    assert subprocess.run([contained.apart, "serve"], cwd=contained.folder, env=contained.env, capture_output=True, timeout=60).returncode == 1
