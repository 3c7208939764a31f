"""Schedules of the model tests: from a seed, random workflows, events and faults. The same seed gives the same schedule."""
import json
import random

START_MS = 1_800_000_000_000  # a full hour
HOUR = 3_600_000
DAY = 24 * HOUR
CALLED = ("callee", "inner")
# How many events come, how many items one has, and how deep blocks stand in each other: most that goes wrong needs little, and what is small can be
# tried often; a few are large, for what needs much.
SMALL, MIDDLE, LARGE = (range(1, 3), (0, 1, 3), 0), (range(1, 5), (0, 1, 2, 4), 1), (range(3, 11), (0, 1, 3, 7), 2)
SIZES = (SMALL, SMALL, SMALL, SMALL, MIDDLE, MIDDLE, MIDDLE, LARGE)


class Effect:
    """What is known of a step that has an effect: how often it fails, and how it ends when nothing is in its way."""

    def __init__(self, attempts, fails, is_permanent, delay_ms, factor, jitter):
        self.attempts, self.fails, self.is_permanent = attempts, fails, is_permanent
        self.delay_ms, self.factor, self.jitter = delay_ms, factor, jitter
        self.is_once = False  # guarantee: at_most_once
        self.limit, self.is_keyed, self.cost = None, False, 1
        self.after_ms = 0  # what it asks for when it is to be tried again

    @property
    def fails_for_good(self):
        return self.is_permanent or self.fails >= self.attempts


class Workflow:
    def __init__(self, name, triggers):
        self.name, self.triggers, self.keys, self.steps = name, triggers, {}, []
        self.effects, self.foreach, self.waits, self.sleeps, self.undo = {}, {}, {}, {}, {}
        self.emits, self.approvals, self.repeats = {}, {}, {}  # step → delay in ms; what it asks; {every_ms, max}
        self.prefix = "s"  # of ids: each version has another one
        self.by = "k"  # the field by which it waits for events
        self.order = []  # (earlier, later): paths of effects of which the second begins when the first has ended
        self.count = 0
        self.calls = set()  # names of workflows

    def takes(self, event_name):
        return any(trigger.get("event") == event_name or ("schedule" in trigger and event_name == f"schedule.{self.name}") for trigger in self.triggers)

    def scope(self):
        """Of its slots; None: it has none."""
        rule = self.keys.get("concurrency")
        return rule and rule.get("scope", self.name)

    def document(self):
        return {"name": self.name, "on": self.triggers, **self.keys, "steps": self.steps}

    def text(self):
        return json.dumps(self.document())


class Maker:
    def __init__(self, rng, workflow, is_timed, callee, limits):
        self.rng, self.workflow, self.is_timed, self.callee, self.limits = rng, workflow, is_timed, callee, limits
        self.values = []  # ids whose output has v, at the place where the next step stands

    def id(self):
        self.workflow.count += 1
        return f"{self.workflow.prefix}{self.workflow.count}"

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
        code += 'ctx.log.info("ended " .. ctx.idempotency_key .. " " .. ctx.attempt)\n'
        if known.is_permanent:
            code += 'return ctx.fail{code = "broken"}\n'
        elif fails:
            known.after_ms = rng.choice((0, 0, 20000)) if self.limits else 0
            code += f'if ctx.attempt <= {fails} then return ctx.retry{{code = "again"{", after = 20" if known.after_ms else ""}}} end\n'
        if not known.is_permanent:
            code += f"return {{v = {value}, n = input.n}}\n"
        step = {"id": name, "with": {"n": "${{ item.n }}" if item else "${{ event.data.n }}"}, "lua": code, "timeout": "1h",
                "retry": {"attempts": attempts, "delay": f"{known.delay_ms}ms", "factor": known.factor, "max_delay": "10m", "jitter": known.jitter}}
        if self.limits and rng.random() < 0.5:
            known.limit = rng.choice(sorted(self.limits))
            known.is_keyed = rng.random() < 0.5
            known.cost = rng.randrange(1, self.limits[known.limit].get("burst", 1) + 1)
            step["limit"] = {"name": known.limit, "cost": f"${{{{ {known.cost} }}}}"} if known.cost > 1 or known.is_keyed else known.limit
            if known.is_keyed:
                step["limit"]["key"] = "${{ event.data.k }}"
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
        elif dice < 0.65:
            undo = self.effect(may_fail=False)
            known = self.workflow.effects.pop(undo["id"])
            self.values.remove(undo["id"])
            self.workflow.undo[step["id"] + "~undo"] = step["id"]
            self.workflow.effects[step["id"] + "~undo"] = known
            del undo["id"]
            step["undo"] = undo
        return step

    def wait(self):
        name, timeout = self.id(), self.rng.randrange(1000, HOUR)
        self.workflow.waits[name] = timeout
        return {"id": name, "wait": {"event": "model.w", "by": f"data.{self.workflow.by}", "equals": "${{ event.data.k }}", "timeout": f"{timeout}ms", "on_timeout": "continue"}}

    def repeated(self):
        """A step that is run until some time has passed."""
        name, rng = self.id(), self.rng
        known = self.workflow.repeats[name] = {"every_ms": rng.choice((300, 3000, 60000)), "max": 40}
        times = rng.randrange(0, 4)
        code = (f'ctx.log.info("again " .. ctx.idempotency_key .. " " .. ctx.attempt)\n'
                f"return {{done = ctx.now() - input.at >= {times * known['every_ms']}}}\n")
        return {"id": name, "with": {"at": "${{ event.at }}"}, "lua": code, "outputs": {"v": 1},
                "repeat": {"until": "${{ result.done }}", "every": f"{known['every_ms']}ms", "max": known["max"]}}

    def sleep(self, most_ms):
        name = self.id()
        self.workflow.sleeps[name] = self.rng.randrange(1, most_ms)
        return {"id": name, "sleep": f"{self.workflow.sleeps[name]}ms"}

    def call(self):
        name = self.rng.choice(self.callee)
        self.workflow.calls.add(name)
        return {"id": self.id(), "uses": "workflow/" + name, "with": {"n": "${{ event.data.n }}", "k": "${{ event.data.k }}"}}

    def code(self):
        """Code that calls a workflow and asks somebody, in parts of its step, and then has its effect."""
        rng, step = self.rng, self.effect(may_fail=False)
        code = ""
        if self.callee and rng.random() < 0.7:
            names = [rng.choice(self.callee) for _ in range(rng.choice((1, 1, 2)))]
            self.workflow.calls.update(names)
            calls = [f'{{name = "call[{number}]", uses = "workflow/{name}", input = {{n = input.n, k = input.k}}}}' for number, name in enumerate(names, 1)]
            code += f"ctx.part.call{{{', '.join(calls)}}}\n"
        if self.is_timed and rng.random() < 0.7:
            questions = []
            for number in range(1, rng.choice((2, 3, 3))):
                known = self.question()
                self.workflow.approvals[f"{step['id']}.ask[{number}]"] = known
                who = f"to = {{{', '.join(map(json.dumps, known['to']))}}}, need = {known['need']}, " if known["to"] else ""
                late = f'on_timeout = "{known["on_timeout"]}", ' if known["on_timeout"] else ""
                choices = ", ".join(map(json.dumps, known["choices"]))
                questions.append(f'{{name = "ask[{number}]", message = "Well?", choices = {{{choices}}}, {who}{late}timeout = "{known["timeout_ms"]}ms"}}')
            code += f"ctx.part.ask{{{', '.join(questions)}}}\n"
        step["lua"] = code + step["lua"]
        step["with"]["k"] = "${{ event.data.k }}"
        return step

    def each(self):
        rng, name = self.rng, self.id()
        body = [self.effect(may_fail=self.is_timed, item=True) for _ in range(rng.randrange(1, 3))]
        concurrency = rng.randrange(1, 4)
        self.workflow.foreach[name] = concurrency
        step = {"id": name, "foreach": "${{ event.data.items }}", "concurrency": concurrency, "steps": body}
        if self.is_timed and rng.random() < 0.5:
            step["tolerate"] = rng.choice((1, "all"))
        return step

    def beside(self):
        """Of a `parallel`."""
        dice = self.rng.random()
        if dice < 0.12:
            return self.sleep(self.rng.choice((5000, HOUR)))
        if dice < 0.24 and self.is_timed:
            return self.rng.choice((self.wait, self.approval))()
        if dice < 0.3:
            return self.call() if self.callee and self.rng.random() < 0.6 else self.each()
        if dice < 0.38:
            return self.code()
        return self.effect(may_fail=self.is_timed)

    def question(self):
        rng = self.rng
        known = {"choices": ["yes", "no", "later"][:rng.randrange(1, 4)], "to": [], "need": 1, "timeout_ms": rng.randrange(1000, HOUR), "on_timeout": None}
        if rng.random() < 0.5:
            known["to"] = ["ann", "bob", "cy"][:rng.randrange(1, 4)]
            known["need"] = rng.randrange(1, len(known["to"]) + 1)
        if rng.random() < 0.6:
            known["on_timeout"] = rng.choice(known["choices"])
        return known

    def approval(self):
        """What a person decides, or time does."""
        name, rng = self.id(), self.rng
        known = self.workflow.approvals[name] = self.question()
        step = {"message": "Well?", "choices": known["choices"], "timeout": f"{known['timeout_ms']}ms"}
        if known["to"]:
            step.update(to=known["to"], need=known["need"])
        if known["on_timeout"]:
            step["on_timeout"] = known["on_timeout"]
        if rng.random() < 0.5:
            notify = self.effect(may_fail=False)
            self.values.remove(notify["id"])
            self.workflow.effects[name + "~notify"] = self.workflow.effects.pop(notify.pop("id"))
            step["notify"] = notify
        return {"id": name, "approve": step, "on_error": "continue"}

    def some(self, depth):
        """One step, or a block of them."""
        rng, dice = self.rng, self.rng.random()
        if dice < 0.32:
            return self.plain()
        if dice < 0.4:
            return self.code()
        if dice < 0.42:
            return self.repeated()
        if dice < 0.43:
            return {"id": self.id(), "if": "${{ event.data.n % 3 == 1 }}", "stop": {"as": rng.choice(("succeeded", "failed", "skipped")), "message": "enough"}}
        if dice < 0.48:
            return self.sleep(rng.choice((5000, HOUR)))
        if dice < 0.54:
            return {"id": self.id(), "set": {"v": "${{ event.data.n * 2 }}"}}
        if dice < 0.6 and self.is_timed:
            return self.approval()
        if dice < 0.65:
            return self.wait() if self.is_timed else self.sleep(1000)
        if dice < 0.74:
            return {"parallel": [self.effect(may_fail=self.is_timed)] + [self.beside() for _ in range(rng.randrange(1, 4))]}
        if dice < 0.82 and depth:
            block = {"if": "${{ event.data.n % 2 == 0 }}", "steps": self.several(depth - 1)}
            if rng.random() < 0.5:
                block["else"] = self.several(depth - 1)
            return block
        if dice < 0.89:
            return self.each()
        if dice < 0.96 and self.callee:
            return self.call()
        name = self.id()
        if not self.callee:
            return {"id": name, "set": {"v": 1}}
        emit = {"event": "model.emitted", "data": {"n": "${{ event.data.n }}", "k": "${{ event.data.k }}", "items": []}}
        self.workflow.emits[name] = rng.choice((0, 0, rng.randrange(1, 5000), rng.randrange(1, HOUR)))
        if self.workflow.emits[name]:
            emit["delay"] = f"{self.workflow.emits[name]}ms"
        return {"id": name, "emit": emit}

    def several(self, depth):
        return [self.some(depth) for _ in range(self.rng.randrange(1, 4))]


def admission(rng, name, is_timed):
    """Keys that say when runs begin, and which: those of all versions."""
    keys = {}
    if is_timed and rng.random() < 0.5 and name == "w1":
        keys["collect"] = {"key": "${{ event.data.k }}", "quiet": f"{rng.randrange(500, 5000)}ms"}
        if rng.random() < 0.7:
            keys["collect"]["max_wait"] = f"{rng.randrange(5000, 20000)}ms"
        if rng.random() < 0.5:
            keys["collect"]["max_events"] = rng.randrange(1, 4)
    if is_timed and rng.random() < 0.35 and name not in CALLED:
        keys["rate"] = {"limit": rng.choice(("2/1s", "5/1m", "3/1h")), "key": "${{ event.data.k }}", "burst": rng.choice((1, 1, 3)), "over": rng.choice(("delay", "delay", "skip"))}
    if rng.random() < 0.4 and name not in CALLED:
        keys["concurrency"] = {"key": "${{ event.data.k }}", "limit": rng.choice((1, 1, 2))}
        if rng.random() < 0.3:
            keys["concurrency"]["hold"] = "active"
        if is_timed and rng.random() < 0.4:
            keys["concurrency"]["when_full"] = rng.choice(("skip", "replace", "cancel_running"))
    if is_timed and "collect" not in keys and rng.random() < 0.16 and name not in CALLED:
        keys["start_within"] = f"{rng.choice((rng.randrange(500, 20000), rng.randrange(1000, HOUR)))}ms"
    if is_timed and "collect" not in keys and "start_within" not in keys and rng.random() < 0.2 and name not in CALLED:
        keys["delay"] = f"{rng.choice((rng.randrange(1, 5000), rng.randrange(1, HOUR)))}ms"
    if is_timed and rng.random() < 0.4 and name not in CALLED:
        keys["cancel_on"] = [{"event": "model.c", "by": "data.k", "equals": "${{ event.data.k }}"}]
        if rng.random() < 0.5:
            keys["undo_on"] = ["failure", "cancel"]
    if is_timed and rng.random() < 0.12:
        keys["timeout"] = "2h"
    if is_timed and rng.random() < 0.3:
        keys["fail_fast"] = True
    if name in CALLED:
        keys["inputs"] = {"n": {"type": "integer"}, "k": {"type": "integer"}}
    return keys


def make_workflow(rng, name, triggers, is_timed, callee, limits, depth, like=None, has_wait=False):
    workflow = Workflow(name, triggers)
    workflow.keys = dict(like.keys) if like else admission(rng, name, is_timed)
    for key in ("on_failure", "finally", "outputs"):
        workflow.keys.pop(key, None)
    if like:
        workflow.prefix, workflow.by = "t", "j"
    maker = Maker(rng, workflow, is_timed, callee, limits)
    workflow.steps = [maker.plain()] + [maker.wait()] * has_wait + maker.several(depth) + [maker.plain()]
    straight = [step["id"] for step in workflow.steps if "id" in step and step["id"] in workflow.effects]
    workflow.order = list(zip(straight, straight[1:]))
    if rng.random() < 0.35:
        workflow.keys["finally"] = [maker.effect(may_fail=False)]
    if rng.random() < 0.3:
        workflow.keys["on_failure"] = [maker.effect(may_fail=False)]
    workflow.keys["outputs"] = {step["id"]: f"${{{{ steps.{step['id']} }}}}" for step in workflow.steps if "id" in step and "stop" not in step}
    return workflow


def admit_calls(rng, workflows, is_timed):
    """What is called waits for slots, too. Scopes that they share make circles, and which run of a circle fails depends on time."""
    limits = {scope: rng.choice((1, 1, 2)) for scope in ("a", "b")}
    is_shared = is_timed and rng.random() < 0.5
    for workflow in workflows:
        if is_shared and "concurrency" not in workflow.keys:
            workflow.keys["concurrency"] = {"key": "${{ event.data.k }}"}
        is_called = workflow.name in CALLED
        if is_called and not is_shared and rng.random() < 0.7:
            workflow.keys["concurrency"] = {"key": "${{ inputs.k }}", "limit": rng.choice((1, 1, 2))}
            if rng.random() < 0.2:
                workflow.keys["concurrency"]["hold"] = "active"
            if is_timed and rng.random() < 0.2:
                workflow.keys["concurrency"]["when_full"] = rng.choice(("skip", "replace", "cancel_running"))
        if is_called and is_timed and rng.random() < 0.2:
            workflow.keys["rate"] = {"limit": rng.choice(("2/1s", "5/1m")), "key": "${{ inputs.k }}", "over": rng.choice(("delay", "skip"))}
        if is_called and is_timed and rng.random() < 0.2:
            workflow.keys[rng.choice(("delay", "start_within"))] = f"{rng.randrange(1, 20)}s"
        if is_shared or (is_timed and "concurrency" in workflow.keys and rng.random() < 0.3):
            scope = rng.choice(("a", "b"))
            workflow.keys["concurrency"].update(scope="global:" + scope, limit=limits[scope])


def make_small(rng, name, trigger):
    """For events whose data say nothing."""
    workflow = Workflow(name, [trigger])
    workflow.steps = [Maker(rng, workflow, False, (), {}).effect()]
    return workflow


def make_ring(rng, is_timed):
    """Workflows that call each other in a circle, or one itself, until nothing is left or they stand too deep: eight runs below the first one."""
    ring, names, left = [], ("ping", "pong")[:rng.randrange(1, 3)], rng.choice((3, 8, 9, 30))
    shared = {"scope": "global:ring", "limit": rng.choice((1, 2))} if rng.random() < 0.4 else {}
    for index, name in enumerate(names):
        workflow = Workflow(name, [{"call": True}] + [{"event": "model.r"}] * (index == 0 or is_timed))
        maker = Maker(rng, workflow, is_timed, (), {})
        call = {"id": maker.id(), "if": "${{ inputs.left > 0 }}", "uses": "workflow/" + names[index - 1], "with": {"k": "${{ inputs.k }}", "left": "${{ inputs.left - 1 }}"}}
        workflow.calls.add(names[index - 1])
        if rng.random() < 0.2:
            call["on_error"] = "continue"
        workflow.keys["inputs"] = {"k": {"type": "integer", "default": "${{ event.data.k }}"}, "left": {"type": "integer", "default": left}}
        if shared or rng.random() < 0.6:
            workflow.keys["concurrency"] = {"key": "${{ inputs.k }}", "limit": rng.choice((1, 1, 2)), **shared}
            if rng.random() < 0.2:
                workflow.keys["concurrency"]["hold"] = "active"
        workflow.steps = [maker.effect(may_fail=False), call, maker.effect(may_fail=is_timed and rng.random() < 0.2)]
        ring.append(workflow)
    return ring


class Schedule:
    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.seed, self.is_pinned = seed, seed % 4 > 0  # see driver.nursery()
        self.is_timed = rng.random() < 0.6  # what comes of it may depend on how long things take, which a crash changes
        self.has_letters, self.has_cancels, has_reloads, is_kept, has_cron, has_poison = (self.is_timed and rng.random() < share for share in (0.2, 0.3, 0.25, 0.2, 0.15, 0.15))
        self.has_reloads = has_reloads
        self.event_counts, self.item_counts, self.depth = rng.choice(SIZES)
        self.limits = self.make_limits() if rng.random() < 0.25 else {}
        self.keep = {kind: f"{rng.choice((1, 60, 3600, 86400, 200 * 86400))}s" for kind in ("deliveries", "events", "succeeded", "failed")} if is_kept else None
        self.workflows = [self.make("inner", [{"call": True}], ()), self.make("callee", [{"call": True}], ("inner",))]
        for number in range(rng.randrange(1, 3)):
            self.workflows.append(self.make(f"w{number}", [{"event": f"model.e{number}"}], ("callee", "callee", "inner")))
        if rng.random() < 0.4:
            self.workflows.append(self.make("heir", [{"event": "model.emitted"}], ()))
        admit_calls(rng, self.workflows, self.is_timed)
        has_cron = has_cron and not is_kept  # the passes come half a year later
        self.cron = {"schedule": rng.choice(("*/7 * * * *", "*/20 * * * *", "0 * * * *")), "missed": rng.choice(("all", "latest", "skip")), "max_age": "360d"} if has_cron else None
        if has_cron:
            self.workflows.append(make_small(rng, "cron", self.cron))
        self.has_poison = has_poison
        if has_poison:
            self.workflows.append(self.make("deadly", [{"event": "model.p"}], ()))
            poison = {"id": "poison", "lua": "ctx.log.info('never') return {}"}
            steps = self.workflows[-1].steps
            steps.insert(rng.randrange(1, len(steps) + 1), poison)
            self.workflows[-1].order = []
        self.has_ring = rng.random() < 0.08
        if self.has_ring:
            self.workflows += make_ring(rng, self.is_timed)
        self.others = {}  # name → another version of it
        if has_reloads:
            for workflow in self.workflows[1:3]:
                calls = ("inner",) if workflow.name == "callee" else ("callee", "callee", "inner")
                self.others[workflow.name] = make_workflow(rng, workflow.name, workflow.triggers, self.is_timed, calls, self.limits, self.depth, like=workflow, has_wait=rng.random() < 0.5)
        self.acts = []
        self.make_events()
        if rng.random() < 0.9:
            self.leave_out_bystanders()
        end_ms = self.acts[-1]["at_ms"] + HOUR
        self.make_people(end_ms)
        if self.others:
            self.make_reloads(end_ms)
        if is_kept:
            self.some_time(rng.randrange(1, 5), end_ms + 4 * HOUR, lambda: {"do": "retain"})
            self.acts.append({"at_ms": end_ms + rng.choice((2 * DAY, 190 * DAY)), "do": "retain"})
        if has_cron:
            self.some_time(rng.randrange(2, 12), end_ms, lambda: {"do": "tick"})
        if self.is_timed and rng.random() < 0.2:
            self.some_time(rng.randrange(1, 3), end_ms, lambda: {"do": "stop"})
        self.acts.sort(key=lambda act: act["at_ms"])
        for number, act in enumerate(self.acts):
            act["number"] = number
        self.has_store = is_kept or rng.random() < 0.95  # else it has to make it first, and may die while it does
        self.faults = []
        while rng.random() < 0.6 and len(self.faults) < 4:
            if rng.random() < 0.65:
                self.faults.append({"crash": f"*:{int(2 ** rng.uniform(0, 10))}", "kill_worker": 0})
            else:
                self.faults.append({"crash": None, "kill_worker": rng.randrange(1, 60)})

    def make(self, name, triggers, calls):
        return make_workflow(self.rng, name, triggers, self.is_timed, calls, self.limits, self.depth, has_wait=self.has_reloads and self.rng.random() < 0.5)

    def make_limits(self):
        rng, limits = self.rng, {}
        for name in ("la", "lb")[:rng.randrange(1, 3)]:
            limits[name] = {}
            if rng.random() < 0.7:
                limits[name] = {"rate": rng.choice(("3/1s", "10/1m", "30/1h")), "burst": rng.randrange(1, 4)}
            if not limits[name] or rng.random() < 0.5:
                limits[name]["concurrency"] = rng.randrange(1, 3)
        return limits

    def some_time(self, count, end_ms, make):
        for _ in range(count):
            self.acts.append({"at_ms": self.rng.choice((self.rng.randrange(START_MS, end_ms), self.rng.choice(self.acts)["at_ms"])), **make()})

    def make_events(self):
        rng, at_ms = self.rng, START_MS
        own = ("e0", "e0", "e1", "e1") if any(workflow.name == "w1" for workflow in self.workflows) else ("e0", "e0", "e0", "e0", "e1")  # which is for nobody
        for number in range(rng.choice(self.event_counts)):
            at_ms += rng.choice((rng.randrange(1, 2000), rng.randrange(1, 2000), rng.randrange(1, HOUR)))
            name = rng.choice(own + ("w", "w", "c") * self.is_timed + ("w",) * 4 * self.has_reloads + ("p",) * 2 * self.has_poison + ("r",) * 2 * self.has_ring)
            body = {"n": number, "k": rng.randrange(1, 3), "j": rng.randrange(1, 3), "items": [{"n": n} for n in range(rng.choice(self.item_counts))]}
            self.acts.append({"at_ms": at_ms, "do": "event", "key": f"k{number}", "name": "model." + name, "body": body})
            if rng.random() < 0.15:  # its sender did not hear the answer
                at_ms += rng.randrange(1, 5000)
                self.acts.append({**self.acts[-1], "at_ms": at_ms})

    def leave_out_bystanders(self):
        """Workflows that nothing can start: to load them, in each life and each worker, is most of what they would do."""
        names = {act["name"] for act in self.acts}
        used, found = set(), [workflow for workflow in self.workflows if "schedule" in workflow.triggers[0] or any(map(workflow.takes, names))]
        while found:
            name = found.pop().name
            if name in used:
                continue
            used.add(name)
            for version in (self.workflow(name), self.others.get(name, self.workflow(name))):
                found += [workflow for workflow in self.workflows if workflow.name in version.calls or (version.emits and workflow.takes("model.emitted"))]
        self.workflows = [workflow for workflow in self.workflows if workflow.name in used]
        self.others = {name: workflow for name, workflow in self.others.items() if name in used}

    def make_people(self, end_ms):
        rng = self.rng
        if any(workflow.approvals for workflow in self.every_version()):
            self.some_time(rng.randrange(0, 16), end_ms, lambda: {
                "do": "vote", "pick": rng.randrange(100), "voter": rng.randrange(3), "choice": rng.randrange(3), "looks": rng.random() < 0.15, "forges": rng.random() < 0.1})
        if self.has_letters:
            self.some_time(rng.randrange(1, 7), end_ms + HOUR, lambda: {
                "do": "letter", "pick": rng.randrange(100), "verb": rng.choice(("resume", "resume", "replay", "discard")), "any": rng.random() < 0.15,
                "children": rng.random() < 0.15, "latest": rng.random() < 0.5,
                "from": rng.choice(["", *(step["id"] for workflow in self.every_version() for step in workflow.steps if "id" in step)])})
        if self.has_cancels:
            self.some_time(rng.randrange(1, 4), end_ms, lambda: {"do": "cancel", "pick": rng.randrange(100)})

    def make_reloads(self, end_ms):
        rng, taken, current = self.rng, {act["at_ms"] for act in self.acts}, dict.fromkeys(self.others, "s")
        for at_ms in sorted({rng.randrange(START_MS, end_ms) for _ in range(rng.randrange(1, 5))} - taken):
            which = rng.choice(("bad", "good", "good", "good"))
            if which == "good":
                for name in self.others:
                    if rng.random() < 0.8:
                        current[name] = rng.choice("sttt")
            files = {f"workflows/{name}.yaml": self.version(name, prefix).text() for name, prefix in current.items()}
            if which == "bad":  # a change, and an error beside it
                files = {path: text.replace("effect", "EFFECT") for path, text in files.items()}
                name = rng.choice(sorted(self.others))
                files[f"workflows/{name}.yaml"] = rng.choice(("name: [", json.dumps({**self.workflow(name).document(), "stepz": []})))
            self.acts.append({"at_ms": at_ms, "do": "reload", "files": files, "which": which, "versions": dict(current)})

    def every_version(self):
        return self.workflows + list(self.others.values())

    def workflow(self, name):
        return next(workflow for workflow in self.workflows if workflow.name == name)

    def version(self, name, prefix):
        """The one whose steps have this prefix."""
        return self.others[name] if prefix == "t" and name in self.others else self.workflow(name)

    def approvals(self):
        return {path: {"choices": known["choices"], "to": known["to"]} for workflow in self.every_version() for path, known in workflow.approvals.items()}

    def write(self, folder):
        (folder / "workflows").mkdir(parents=True)
        (folder / "actions").mkdir()
        config = {"listen": ["http://127.0.0.1:0"], "workers": 1, "public_url": "http://127.0.0.1", "sources": {"model": {"path": "/in/model", "verify": "none", "event": "e"}},
                  "limits": self.limits, "retention": self.keep or {kind: "none" for kind in ("deliveries", "events", "succeeded", "failed")}}
        (folder / "bellwire.yaml").write_text(json.dumps(config))
        for workflow in self.workflows:
            (folder / "workflows" / f"{workflow.name}.yaml").write_text(workflow.text())
