"""bellwire fmt: files as they are on disk."""
import os

from conftest import CONFIG

BEFORE = "name: w   # one && two\non: [{event: open.ping}]\nsteps:\n  - {id: a, if: \"${{ event.data.n != 1 && !event.data.x }}\", set: {t: '!='}}\n"
AFTER = BEFORE.replace("n != 1 && !event", "n ~= 1 and not event")


def version(engine):
    return engine.rows("workflows")[0]["version"]


def test_a_file_is_changed_in_place_with_its_mode_and_stays_the_version_that_it_was(make_engine):
    engine = make_engine(CONFIG)
    path = engine.write("workflows/w.yaml", BEFORE, 0o640)
    other = engine.write("workflows/ok.yaml", BEFORE.replace("name: w", "name: ok").replace("!= 1 && !", "== 1 and not "))
    stamp = os.stat(other).st_mtime_ns
    before = version(engine)
    check = engine.run("fmt", "--check", check=False)
    assert check.returncode == 1 and path.read_text() == BEFORE
    assert check.stdout.splitlines() == ["./workflows/w.yaml:4:35: != is ~= in Lua", "./workflows/w.yaml:4:40: && is and in Lua", "./workflows/w.yaml:4:43: ! is not in Lua"]
    diff = engine.run("fmt", "--diff")
    assert diff.stdout.splitlines()[2:] == ["@@ -4 +4 @@", "-" + BEFORE.splitlines()[3], "+" + AFTER.splitlines()[3]] and path.read_text() == BEFORE
    assert "3 spellings in 1 file changed" in engine.run("fmt").stderr
    assert path.read_text() == AFTER and os.stat(path).st_mode & 0o777 == 0o640 and os.stat(other).st_mtime_ns == stamp
    assert version(engine) == before and engine.run("fmt", "--check").returncode == 0
    assert sorted(os.listdir(engine.folder / "workflows")) == ["ok.yaml", "w.yaml"]


def test_links_stay_links_and_what_does_not_load_is_left_as_it_is(make_engine):
    engine = make_engine(CONFIG)
    real = engine.write("shared.yaml", BEFORE)
    link = engine.folder / "workflows" / "w.yaml"
    link.symlink_to(real)
    broken = engine.write("broken.yaml", BEFORE.replace("set:", "sett:"))
    no_lua = engine.write("no-lua.yaml", BEFORE.replace("data.x }}", "data.x 5 }}"))
    result = engine.run("fmt", "workflows/w.yaml", "broken.yaml", "no-lua.yaml", "missing.yaml", check=False)
    assert "no-lua.yaml:4:" in result.stderr and "[expr.syntax]" in result.stderr and "!=" in no_lua.read_text()
    assert result.returncode == 1 and "broken.yaml:4" in result.stderr and "missing.yaml" in result.stderr
    assert link.is_symlink() and real.read_text() == AFTER and "!=" in broken.read_text()
