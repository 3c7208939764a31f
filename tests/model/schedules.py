"""Schedules of the model tests: from a seed, random workflows, events and faults. The same seed gives the same schedule."""
import json
import random

START_MS = 1_800_000_000_000
HOUR = 3_600_000


class Effect:
    """What is known of a step that has an effect: how often it fails, and how it ends when nothing is in its way."""

    def __init__(self, attempts, fails, is_permanent, delay_ms, factor, jitter):
        self.attempts, self.fails, self.is_permanent = attempts, fails, is_permanent
        self.delay_ms, self.factor, self.jitter = delay_ms, factor, jitter
        self.is_once = False  # guarantee: at_most_once

    @property
    def fails_for_good(self):
        return self.is_permanent or self.fails >= self.attempts


class Workflow:
    def __init__(self, name, triggers):
        self.name, self.triggers, self.keys, self.steps = name, triggers, {}, []
        self.effects, self.foreach, self.waits, self.undo, self.emits = {}, {}, {}, {}, set()
        self.order = []  # (earlier, later): paths of effects of which the second begins when the first has ended
        self.count = 0

    def document(self):
        return {"name": self.name, "on": self.triggers, **self.keys, "steps": self.steps}


class Maker:
    def __init__(self, rng, workflow, is_timed, callee):
        self.rng, self.workflow, self.is_timed, self.callee = rng, workflow, is_timed, callee
        self.values = []  # ids whose output has v, at the place where the next step stands

    def id(self):
        self.workflow.count += 1
        return f"s{self.workflow.count}"

    def effect(self, may_fail=True, item=False):
        rng, name = self.rng, self.id()
        attempts = rng.choice((1, 2, 3, 4))
        fails = rng.choice((0, 0, 0, 1, 2)) if may_fail else rng.randrange(attempts)
        known = Effect(attempts, fails, may_fail and rng.random() < 0.06, rng.choice((200, 1500, 6000, 40000)), rng.choice((1, 2)), rng.choice((0, 0.5)))
        self.workflow.effects[name] = known
        duration = rng.choice((0, 0, rng.randrange(1, 4000)))
        value = rng.randrange(1000)
        code = 'ctx.log.info("effect " .. ctx.idempotency_key .. " " .. ctx.attempt)\n'
        if duration:
            code += f"ctx.sleep({duration / 1000})\n"
        if known.is_permanent:
            code += 'ctx.log.info("done") return ctx.fail{code = "broken"}\n'
        elif fails:
            code += f'if ctx.attempt <= {fails} then return ctx.retry{{code = "again"}} end\n'
        if not known.is_permanent:
            code += f"return {{v = {value}, n = input.n}}\n"
        step = {"id": name, "with": {"n": "${{ item.n }}" if item else "${{ event.data.n }}"}, "lua": code, "timeout": "1h",
                "retry": {"attempts": attempts, "delay": f"{known.delay_ms}ms", "factor": known.factor, "max_delay": "10m", "jitter": known.jitter}}
        if may_fail and self.is_timed and rng.random() < 0.3:  # a crash can make it unknown
            known.is_once = True
            step["guarantee"] = "at_most_once"
        if not item:
            self.values.append(name)
        return step

    def plain(self):
        """An effect that the steps behind it need: it may have what a failure leads to."""
        rng = self.rng
        step = self.effect()
        dice = rng.random()
        if dice < 0.15:
            step["on_error"] = "continue"
        elif dice < 0.3:
            step["catch"] = [{"steps": [self.effect(may_fail=False)], "then": rng.choice(("continue", "continue", "fail", "stop"))}]
        elif dice < 0.5:
            undo = self.effect(may_fail=False)
            known = self.workflow.effects.pop(undo["id"])
            self.values.remove(undo["id"])
            self.workflow.undo[step["id"] + "~undo"] = step["id"]
            self.workflow.effects[step["id"] + "~undo"] = known
            del undo["id"]
            step["undo"] = undo
        return step

    def some(self, depth):
        """One step, or a block of them."""
        rng, dice = self.rng, self.rng.random()
        if dice < 0.4:
            return self.plain()
        if dice < 0.48:
            return {"id": self.id(), "sleep": f"{rng.choice((rng.randrange(1, 5000), rng.randrange(1, HOUR)))}ms"}
        if dice < 0.54:
            return {"id": self.id(), "set": {"v": "${{ event.data.n * 2 }}"}}
        if dice < 0.64:
            name, timeout = self.id(), rng.randrange(1000, HOUR)
            if not self.is_timed:
                return {"id": name, "sleep": "1s"}
            self.workflow.waits[name] = timeout
            return {"id": name, "wait": {"event": "model.w", "by": "data.k", "equals": "${{ event.data.k }}", "timeout": f"{timeout}ms", "on_timeout": "continue"}}
        if dice < 0.74:
            return {"parallel": [self.effect(may_fail=self.is_timed) for _ in range(rng.randrange(2, 4))]}
        if dice < 0.82 and depth:
            block = {"if": "${{ event.data.n % 2 == 0 }}", "steps": self.several(depth - 1)}
            if rng.random() < 0.5:
                block["else"] = self.several(depth - 1)
            return block
        if dice < 0.92:
            name = self.id()
            body = [self.effect(may_fail=self.is_timed, item=True) for _ in range(rng.randrange(1, 3))]
            concurrency = rng.randrange(1, 4)
            self.workflow.foreach[name] = concurrency
            step = {"id": name, "foreach": "${{ event.data.items }}", "concurrency": concurrency, "steps": body}
            if self.is_timed and rng.random() < 0.5:
                step["tolerate"] = rng.choice((1, "all"))
            return step
        if dice < 0.98 and self.callee:
            return {"id": self.id(), "uses": "workflow/" + rng.choice(self.callee), "with": {"n": "${{ event.data.n }}", "k": "${{ event.data.k }}"}}
        name = self.id()
        if not self.callee:
            return {"id": name, "set": {"v": 1}}
        self.workflow.emits.add(name)
        return {"id": name, "emit": {"event": "model.emitted", "data": {"n": "${{ event.data.n }}", "k": "${{ event.data.k }}", "items": []}}}

    def several(self, depth):
        return [self.some(depth) for _ in range(self.rng.randrange(1, 4))]


def make_workflow(rng, name, triggers, is_timed, callee):
    workflow = Workflow(name, triggers)
    maker = Maker(rng, workflow, is_timed, callee)
    workflow.steps = maker.several(2) + [maker.plain()]
    straight = [step["id"] for step in workflow.steps if "id" in step and step["id"] in workflow.effects]
    workflow.order = list(zip(straight, straight[1:]))
    if rng.random() < 0.3:
        workflow.keys["finally"] = [maker.effect(may_fail=False)]
    if rng.random() < 0.3:
        workflow.keys["on_failure"] = [maker.effect(may_fail=False)]
    if is_timed and rng.random() < 0.25 and name == "w1":
        workflow.keys["collect"] = {"key": "${{ event.data.k }}", "quiet": f"{rng.randrange(500, 5000)}ms"}
        if rng.random() < 0.7:
            workflow.keys["collect"]["max_wait"] = f"{rng.randrange(5000, 20000)}ms"
        if rng.random() < 0.5:
            workflow.keys["collect"]["max_events"] = rng.randrange(1, 4)
    if is_timed and rng.random() < 0.25 and name not in ("callee", "inner"):
        workflow.keys["rate"] = {"limit": rng.choice(("2/1s", "5/1m", "3/1h")), "key": "${{ event.data.k }}", "burst": rng.choice((1, 1, 3)),
                                 "over": rng.choice(("delay", "delay", "skip"))}
    if rng.random() < 0.4 and name not in ("callee", "inner"):
        workflow.keys["concurrency"] = {"key": "${{ event.data.k }}", "limit": rng.choice((1, 1, 2))}
        if rng.random() < 0.3:
            workflow.keys["concurrency"]["hold"] = "active"
        if is_timed and rng.random() < 0.4:
            workflow.keys["concurrency"]["when_full"] = rng.choice(("skip", "replace", "cancel_running"))
    if is_timed and rng.random() < 0.3 and name not in ("callee", "inner"):
        workflow.keys["cancel_on"] = [{"event": "model.c", "by": "data.k", "equals": "${{ event.data.k }}"}]
        if rng.random() < 0.5:
            workflow.keys["undo_on"] = ["failure", "cancel"]
    if is_timed and rng.random() < 0.1:
        workflow.keys["timeout"] = "2h"
    if name in ("callee", "inner"):
        workflow.keys["inputs"] = {"n": {"type": "integer"}, "k": {"type": "integer"}}
    workflow.keys["outputs"] = {step["id"]: f"${{{{ steps.{step['id']} }}}}" for step in workflow.steps if "id" in step}
    return workflow


def admit_calls(rng, workflows, is_timed):
    """What is called waits for slots, too. Scopes that they share make circles, and which run of a circle fails depends on time."""
    limits = {scope: rng.choice((1, 1, 2)) for scope in ("a", "b")}
    for workflow in workflows:
        is_called = workflow.name in ("callee", "inner")
        if is_called and rng.random() < 0.7:
            workflow.keys["concurrency"] = {"key": "${{ inputs.k }}", "limit": rng.choice((1, 1, 2))}
            if rng.random() < 0.2:
                workflow.keys["concurrency"]["hold"] = "active"
            if is_timed and rng.random() < 0.2:
                workflow.keys["concurrency"]["when_full"] = rng.choice(("skip", "replace", "cancel_running"))
        if is_called and is_timed and rng.random() < 0.2:
            workflow.keys["rate"] = {"limit": rng.choice(("2/1s", "5/1m")), "key": "${{ inputs.k }}", "over": rng.choice(("delay", "skip"))}
        if is_called and is_timed and rng.random() < 0.2:
            workflow.keys[rng.choice(("delay", "start_within"))] = f"{rng.randrange(1, 20)}s"
        if is_timed and "concurrency" in workflow.keys and rng.random() < 0.5:
            scope = rng.choice(("a", "b"))
            workflow.keys["concurrency"].update(scope="global:" + scope, limit=limits[scope])


class Schedule:
    def __init__(self, seed):
        rng = random.Random(seed)
        self.seed = seed
        self.is_timed = rng.random() < 0.6  # what comes of it may depend on how long things take, which a crash changes
        self.workflows = [make_workflow(rng, "inner", [{"call": True}], self.is_timed, ()), make_workflow(rng, "callee", [{"call": True}], self.is_timed, ("inner",))]
        for number in range(rng.randrange(1, 3)):
            self.workflows.append(make_workflow(rng, f"w{number}", [{"event": f"model.e{number}"}], self.is_timed, ("callee", "callee", "inner")))
        if rng.random() < 0.4:
            self.workflows.append(make_workflow(rng, "heir", [{"event": "model.emitted"}], self.is_timed, ()))
        admit_calls(rng, self.workflows, self.is_timed)
        self.events, at_ms = [], START_MS
        for number in range(rng.randrange(2, 9)):
            at_ms += rng.choice((rng.randrange(1, 2000), rng.randrange(1, 2000), rng.randrange(1, HOUR)))
            name = rng.choice(("e0", "e0", "e0", "e1", "e1") + (("w", "w", "c") if self.is_timed else ()))
            body = {"n": number, "k": rng.randrange(1, 3), "items": [{"n": n} for n in range(rng.choice((0, 1, 3, 7)))]}
            self.events.append({"at_ms": at_ms, "key": f"k{number}", "name": "model." + name, "body": body})
            if rng.random() < 0.15:  # its sender did not hear the answer
                at_ms += rng.randrange(1, 5000)
                self.events.append({**self.events[-1], "at_ms": at_ms})
        self.has_store = rng.random() < 0.95  # else it has to make it first, and may die while it does
        self.faults = []
        while rng.random() < 0.6 and len(self.faults) < 4:
            if rng.random() < 0.65:
                self.faults.append({"crash": f"*:{rng.randrange(1, 80)}", "kill_worker": 0})
            else:
                self.faults.append({"crash": None, "kill_worker": rng.randrange(1, 60)})

    def workflow(self, name):
        return next(workflow for workflow in self.workflows if workflow.name == name)

    def write(self, folder):
        (folder / "workflows").mkdir(parents=True)
        (folder / "actions").mkdir()
        (folder / "bellwire.yaml").write_text("listen: [http://127.0.0.1:0]\nworkers: 1\nsources: {model: {path: /in/model, verify: none, event: e}}\n")
        for workflow in self.workflows:
            (folder / "workflows" / f"{workflow.name}.yaml").write_text(json.dumps(workflow.document(), indent=1))
