"""Steps of one run, one behind the other, and an instance of which a vendor's fake is the only service: what tests of bundled plugins have in common."""
import json

from conftest import CONFIG


def run_steps(engine, *steps, attempts=1):
    """(uses, inputs) of steps s1, s2, … → how each of them has ended, and all that the command has said."""
    written = [{"id": f"s{at}", "uses": uses, "with": given, "retry": {"attempts": attempts, "delay": "1ms"}, "on_error": "continue"}
               for at, (uses, given) in enumerate(steps, 1)]
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": written}))
    result = engine.run("run", "w", "--json", check=False)
    ends = [row for row in map(json.loads, result.stdout.splitlines()) if row.get("what") == "step_finished" and not row.get("part")]
    assert len(ends) == len(steps), result.stdout + result.stderr
    return ends, result.stdout + result.stderr


def came_to(engine, uses, given):
    """The output of one step, or its error."""
    [end], _ = run_steps(engine, (uses, given))
    return end.get("output") or end["error"]


class Desk:
    """`plugin`, told `configured`, with the secrets of the vendor; which must not show anywhere."""
    plugin = None

    def __init__(self, engine, vendor, configured):
        self.engine, self.vendor = engine, vendor
        prefix = self.plugin.upper()
        secrets = {name: {"env": f"{prefix}_{name}"} for name in vendor.secrets}
        engine.write("bellwire.yaml", CONFIG + f"secrets: {json.dumps(secrets)}\nconfigure: {json.dumps({self.plugin: configured})}\n")
        engine.env.update({f"{prefix}_{name}": value for name, value in vendor.secrets.items()})

    def ends(self, *steps, attempts=1):
        """(action, inputs) of steps s1, s2, … of one run → how each of them has ended."""
        ends, said = run_steps(self.engine, *((f"{self.plugin}/{action}@1", given) for action, given in steps), attempts=attempts)
        for secret in self.vendor.secrets.values():
            assert secret not in said
        return ends

    def outputs(self, *steps, **options):
        ends = self.ends(*steps, **options)
        assert all("output" in end for end in ends), ends
        return [end["output"] for end in ends]

    def error(self, action, attempts=3, **given):
        """A step that must fail; with the number of its attempts."""
        [end] = self.ends((action, given), attempts=attempts)
        return {**end["error"], "attempt": end["attempt"]}
