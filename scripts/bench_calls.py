"""What scripts/bench measures of actions: what a call of one that does nothing costs, in a run worker and in the process of a plugin."""
import os
import pathlib
import sqlite3
import statistics
import subprocess
import time

STEPS = 500 # of one run, the most there may be: its record has milliseconds, and one call costs microseconds
RUNS = 15
MANY = 64   # runs at once: their calls reach the host together
SOURCE = r"""
#include <bellwire_plugin.h>
static const struct bw_plugin_host *host;
static void execute(void *instance, struct bw_plugin_call *call)
{
    (void)instance;
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = "{}", .output_len = 2});
}
static void *init(const struct bw_plugin_host *given, const char *config, char *error, size_t size)
{
    (void)config, (void)error, (void)size;
    host = given;
    return (void *)given;
}
BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {.size = sizeof(struct bw_plugin), .abi = BELLWIRE_PLUGIN_ABI, .init = init, .execute = execute,
    .manifest = "{\"name\": \"noop\", \"version\": \"1.0.0\", \"actions\": [{\"name\": \"noop/do\", \"effect\": \"none\"}]}"};
"""


def lay_out(root: pathlib.Path, folder: pathlib.Path):
    """Two workflows of a line of steps: `lua`, and `host` on a plugin that is built here."""
    for name in ("workflows", "plugins"):
        (folder / name).mkdir()
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{root / 'engine' / 'plugin'}", "-x", "c", "-", "-o", folder / "plugins" / "noop.so"],
                   input=SOURCE.encode(), check=True)
    for name, step in (("lua", 'effect: none, lua: "return {}"'), ("host", "uses: noop/do@1")):
        (folder / "workflows" / f"{name}.yaml").write_text(f"name: {name}\non: [{{event: github.{name}}}]\nsteps:\n" +
                                                           "".join(f"  - {{id: s{number}, {step}}}\n" for number in range(STEPS)))


def ended(folder: pathlib.Path, workflow: str):
    with sqlite3.connect(f"file:{folder / 'data' / 'bellwire.db'}?mode=ro", uri=True) as database:
        return database.execute("SELECT started_ms, ended_ms FROM runs WHERE workflow = ? AND state = 20 ORDER BY ended_ms", (workflow,)).fetchall()


def wait_for(folder, workflow, count):
    until = time.monotonic() + 120
    while len(ended(folder, workflow)) < count:
        if time.monotonic() > until:
            raise SystemExit(f"bench: the runs of {workflow} do not end: {(folder / 'log').read_text()[-500:]}")
        time.sleep(0.02)
    return ended(folder, workflow)


def each_us(folder, workflow, post):
    """Of one call, the median over runs that come one after the other."""
    for number in range(RUNS):
        post(workflow, number)
        wait_for(folder, workflow, number + 1)
    return statistics.median(end - start for start, end in ended(folder, workflow)) * 1000 / STEPS


def host_pid(pids):
    for pid in pids:
        try:
            if "noop" in pathlib.Path(f"/proc/{pid}/maps").read_text():
                return pid
        except OSError:
            pass
    raise SystemExit("bench: no process has the plugin")


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many(folder, post, pids):
    """Calls per second, and how many a host could serve by the processor time that it takes for one."""
    before, host = len(ended(folder, "host")), host_pid(pids)
    had = cpu_s(host)
    for number in range(MANY):
        post("host", -1 - number)
    runs = wait_for(folder, "host", before + MANY)[before:]
    calls = MANY * STEPS
    return {"calls_per_s": calls * 1000 / (max(end for _, end in runs) - min(start for start, _ in runs)), "of_a_host_per_s": calls / (cpu_s(host) - had)}
