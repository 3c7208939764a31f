"""testssl.sh judges the https listener, with the settings that nobody has to make: no finding from MEDIUM on. Debian's version gives no grades.
What takes it many minutes is left out here: each cipher by itself (test_tls.py has them), simulated browsers, and attacks on what is not spoken."""
import json
import shutil
import subprocess

import pytest

from conftest import BINARY
from test_tls import CONFIG, dev_cert

TESTSSL = shutil.which("testssl")
NOT_OURS = {"cert_revocation"}  # of the test's own authority, which publishes nothing
PARTS = ["--protocols", "--fs", "--server-defaults", "--headers", "--renegotiation", "--compression"]


@pytest.mark.skipif(not TESTSSL, reason="testssl.sh is not installed: scripts/install test")
@pytest.mark.skipif(b"BELLWIRE_CRASH" in BINARY.read_bytes(), reason="takes a minute: only for the build that people run")
def test_no_finding(make_engine):
    engine = make_engine(CONFIG)
    dev_cert(engine.folder)
    engine.start()
    report = engine.folder / "report.json"
    subprocess.run([TESTSSL, *PARTS, "--quiet", "--color", "0", "--warnings", "off", "--add-ca", engine.folder / "tls" / "ca.pem", "--jsonfile", report, "--ip", "127.0.0.1",
                    f"https://localhost:{engine.port}/"], cwd=engine.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=900)
    rows = {row["id"]: row for row in json.loads(report.read_text())}
    assert [row for row in rows.values() if row["severity"] in ("MEDIUM", "HIGH", "CRITICAL") and row["id"] not in NOT_OURS] == []
    assert len(rows) > 40
    assert {rows[name]["finding"].split(" (")[0] for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1")} == {"not offered"}
    assert {rows[name]["severity"] for name in ("secure_client_renego", "CRIME_TLS", "PFS")} == {"OK"}
