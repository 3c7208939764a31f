"""The JSON Schema for editors and the loader are made from the same tables: where a schema can say it at all, they must agree."""
import json
import re

import pytest

from conftest import Engine

jsonschema = pytest.importorskip("jsonschema")
yaml = pytest.importorskip("yaml")

ACTION = 'return action{name = "demo/act", version = "1.0.0", doc = "for tests", run = function() return {} end}\n'
STEP = "{id: a, set: {}}"


def workflow(on="[{manual: true}]", steps=f"[{STEP}]", more=""):
    return f"name: NAME\non: {on}\nsteps: {steps}\n{more}"


def step(text):
    return workflow(steps=f"[{{{text}}}]")


# NAME becomes a name of its own for each; every entry is tried as it stands.
GOOD = [
    workflow(on="[{call: true}]"), workflow(),
    workflow(on="[{event: a.b}, {event: 'a.*', if: event.data.x == 1}, {event: 'a.**'}, {event: '*'}, {event: '**'}, {manual: true}, {manual}]"),
    workflow(on="[{schedule: '*/5 9-17 * * MON-FRI', tz: Europe/Berlin, missed: all, max_age: 2h}, {schedule: '@daily'}]"),
    workflow(on="[{event: a, if: true}]"),
    workflow(on="[{event: 'pull_*.x*y'}]"),
    workflow(more="description: a text\nvars: {a: 1, b: [x]}\nsecrets: [A, b_1, _c]\noutputs: {x: \"${{ steps.a.y }}\"}\n"),
    step("id: a_1, name: A name, if: \"${{ event.id }}\", set: {b: \"${{ 1 }}\"}, outputs: {c: \"${{ result }}\"}"),
    step("id: a, lua: return input, with: {x: 1}"),
    step("id: a, uses: demo/act@1, with: {}, timeout: 1h30m"),
    step("id: a, approve: {message: m, need: 1}"), step("id: a, approve: {message: m, need: 2, to: [ann@example.com, bob]}"),
    step("id: a, lua: return 1, timeout: 500ms"), step("id: a, set: {}, sensitive: true"), step("id: a, approve: {message: x}, sensitive: false"),
    step("id: a, foreach: [1], sensitive: true, steps: [{id: b, wait: {event: a}, sensitive: true}]"), workflow(more="labels: {a: b, c.d/e-f_9: '1'}\n"),
    workflow(more="pool: big\n"), workflow(more="pool: default\n"),
    workflow(more="expose: mcp\n"), "name: NAME\nexpose: {mcp: true}\nsteps: [{id: a, set: {}}]\n",
    workflow(more="expose: {mcp: }\n"), workflow(more="expose: {mcp: {name: NAME_A-9, title: A tool, description: does it}}\n"),
    workflow(more="labels: {}\nretention: {ok: none, failed: 1d12h}\n"),
    step("id: a, lua: return 1, timeout: 1m5s"),
    step("id: a, lua: 'return {}', if: false"),
    step("id: a, lua: return 1, on_error: continue, max_elapsed: 5m, retry: {attempts: 3, delay: 500ms, factor: 1.5, max_delay: 1m, jitter: 0, on: any}"),
    step("id: a, uses: demo/act@1, retry: {on: [http.status, busy], max_elapsed: 1h}, on_error: fail"),
    step("id: a, if: false, stop: {as: failed, message: \"no ${{ event.id }}\"}"), step("id: a, stop: {}"),
    step("id: a, uses: demo/act@1, guarantee: at_most_once"), step("id: a, uses: demo/act@1, guarantee: at_most_once, effect: write, retry: {on: any}"),
    step("id: a, lua: ctx.log(1), guarantee: at_least_once, effect: read"), step("id: a, lua: return 1, effect: none"),
    workflow(more="defaults: {timeout: 5s, retry: {attempts: 1}, limit: none}\n"), step("id: a, lua: return 1, limit: llm"),
    step("id: a, uses: demo/act@1, limit: {name: llm, key: \"${{ event.data.x }}\", cost: 2.5}"), step("id: a, lua: return 1, limit: {name: llm, cost: \"${{ 2 }}\"}"),
    step("id: a, emit: {event: a.b}"), step("id: a, emit: {event: \"x.${{ event.name }}\", data: [1, null], key: 7}"),
    step("id: a, emit: [{event: a, data: {b: 1}}, {event: b.c}]"),
    workflow(more="respond: {mode: result, within: 1m}\n", steps="[{id: a, respond: {}}, {id: b, respond: {status: \"${{ 204 }}\", headers: {a: b}, body: [1]}}]"),
    workflow(more="respond: {mode: ack}\n"), workflow(more="respond: {mode: result}\n", steps="[{id: a, respond: {status: 404, body: null}}]"),
    step("id: a, sleep: 14d"), step("id: a, sleep: \"${{ event.data.days .. 'd' }}\""), step("id: a, sleep: {until: \"${{ event.data.at }}\"}"),
    step("id: a, sleep: {until: 1700000000000}"), step("id: a, wait: {event: a.b}"), workflow(more="timeout: 60d\n"),
    step("id: a, wait: {event: 'a.*', by: data.order.id, equals: \"${{ event.data.id }}\", if: result.event.data.n > 1, timeout: 3d, on_timeout: continue}"),
    step("id: a, wait: {any: [{event: a, by: data.x, equals: 7}, {event: b, if: true}], since: now, timeout: 1h}"), step("id: a, wait: {event: a, since: 2h}"),
    step("if: true, steps: [{id: a, set: {}}]"), step("id: b, name: N, needs: [], if: true, steps: [{id: a, set: {}}], else: [{id: c, set: {}}]"),
    step("switch: event.name, cases: {a: [{id: a, set: {}}], true: [{id: b, set: {}}]}, default: [{id: c, set: {}}]"),
    step("parallel: [{id: a, set: {}}, {if: true, steps: [{id: b, set: {}}]}]"), step("if: true, parallel: [{id: a, set: {}}]"),
    workflow(steps="[{id: a, set: {}}, {id: b, needs: [a], set: {}}, {id: c, needs: [], set: {}}]", more="fail_fast: true\n"),
    workflow(on="[{call: true}, {call}]", more="inputs: {a: {type: string, required: true, doc: x}, b: {type: array, max_items: 3, default: \"${{ event.data.b }}\"}}\n"),
    step("id: a, uses: workflow/good-0, with: {x: 1}"), step("id: a, uses: workflow/good-0, detach: true, on_error: continue"),
    step("id: a, foreach: \"${{ event.data }}\", as: page, key: item.id, concurrency: 1000, tolerate: 2.5%, steps: [{id: b, set: {x: \"${{ page }}\"}}]"),
    step("id: a, if: true, foreach: [1, 2], tolerate: all, on_error: continue, outputs: {n: \"${{ result.total }}\"}, steps: [{id: b, set: {}}]"),
    step("id: a, foreach: event.data, tolerate: 3, steps: [{id: b, foreach: item, steps: [{id: c, set: {}}]}]"),
    workflow(steps="[" + ", ".join(f"{{id: s{i}, set: {{}}}}" for i in range(500)) + "]"),
    "name: NAME\n\"on\": [{\"manual\": true}]\n\"steps\":\n- id: a\n  set: {}\n",
    workflow(more="rate: {limit: 5/1h, key: event.data.a, burst: 10, over: skip}\n"), workflow(more="rate: {limit: 60/1m30s}\ndelay: 5m\nstart_within: 1h\n"),
    workflow(more="concurrency: {limit: 2, on_failed: hold}\npriority: -3600\n"), workflow(more="concurrency: {}\npriority: \"${{ event.data.n }}\"\n"),
    workflow(more="delay: \"${{ event.data.n }}m\"\n"), workflow(more="collect: {quiet: 2m}\n"),
    workflow(more="collect: {max_wait: 15m, max_events: 50, key: event.data.repo}\n"),
    workflow(on="[{webhook: /in/NAME, verify: none}]"), workflow(on="[{manual: true}, {webhook: /in/NAME, verify: none, if: event.data.n > 1, name: order.paid}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, name: {refs: ['json:/type']}, dedupe: {refs: ['header:x-id'], window: 7d}, max_body: 64KiB, "
             "public_url: 'https://hooks.example/in', allow: [10.0.0.0/8, '2001:db8::/32', '::1']}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, schema: {type: object, properties: {id: {type: string, required: true}}}, rate: {limit: 100/1s, burst: 5}}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, rate: [{limit: 5/1m, by: source}, {limit: 1/1s, by: address}]}]"),
    workflow(on="[{webhook: /in/NAME, verify: github, secrets: {webhook_secret: [{env: PATH}, {env: HOME}]}}]"),
    workflow(on="[{webhook: /in/NAME, verify: hmac, secrets: {secret: {env: PATH}}, options: {header: x-signature, encoding: base64}}]"),
]

BAD = [
    step("id: a, approve: {message: m, need: 2}"), step("id: a, approve: {message: m, need: 21, to: [a, b]}"), step("id: a, approve: {message: m, to: []}"),
    step("id: a, approve: {message: m, to: [a, a]}"), step("id: a, approve: {message: m, to: [1]}"), step("id: a, approve: {message: m, need: 0, to: [a]}"),
    step("id: a, stop: {}, sensitive: true"), step("id: a, emit: {event: a}, sensitive: true"), step("id: a, sleep: 1s, sensitive: true"),
    step("id: a, set: {}, sensitive: 1"), step("if: true, sensitive: true, steps: [{id: a, set: {}}]"), workflow(more="labels: [a]\n"),
    workflow(more="labels: {a: 1}\n"), workflow(more="labels: {-a: b}\n"), workflow(more="labels: {a: ''}\n"), workflow(more="labels: {a: '${{ 1 }}'}\n"),
    workflow(more="retention: 1d\n"), workflow(more="retention: {ok: 3}\n"), workflow(more="retention: {ok: 3 days}\n"), workflow(more="retention: {all: 3d}\n"),
    workflow(more="rate: 5/1h\n"), workflow(more="rate: {burst: 2}\n"), workflow(more="rate: {limit: 5}\n"), workflow(more="rate: {limit: 5/1h, burst: 0}\n"),
    workflow(more="rate: {limit: 5/1h, over: wait}\n"), workflow(more="rate: {limit: 5/1h, key: 5}\n"), workflow(more="delay: 5\n"),
    workflow(more="start_within: soon\n"), workflow(more="concurrency: {on_failed: stop}\n"), workflow(more="concurrency: {}\npriority: 4000\n"),
    "[]", "name: NAME\n",
    "on: [{manual: true}]\nsteps: [{id: a, set: {}}]\n",
    "name: NAME\nsteps: [{id: a, set: {}}]\n",
    "name: NAME\non: [{manual: true}]\n",
    f"name: Name\non: [{{manual: true}}]\nsteps: [{STEP}]\n",
    f"name: 1a\non: [{{manual: true}}]\nsteps: [{STEP}]\n",
    f"name: {'a' * 65}\non: [{{manual: true}}]\nsteps: [{STEP}]\n",
    f"name: 7\non: [{{manual: true}}]\nsteps: [{STEP}]\n",
    workflow(more="description: 7\n"), workflow(more="description: \"${{ x }}\"\n"), workflow(more="descripton: x\n"),
    workflow(more="vars: []\n"), workflow(more="vars: x\n"), workflow(more="outputs: []\n"),
    workflow(more="secrets: A\n"), workflow(more="secrets: [a-b]\n"), workflow(more="secrets: [A, A]\n"), workflow(more="secrets: [1A]\n"),
    workflow(more="pool: Big\n"), workflow(more="pool: [big]\n"), workflow(more="pool: 7\n"), workflow(more="pool: ''\n"),
    workflow(more="collect: {}\n"), workflow(more="collect: {max_events: 5}\n"), workflow(more="collect: {quiet: 2}\n"), workflow(more="collect: 2m\n"),
    workflow(more="collect: {quiet: 2m, max_events: 1001}\n"), workflow(more="collect: {quiet: 2m, max: 5}\n"),
    workflow(more="inputs: []\n"), workflow(more="inputs: {a: string}\n"), workflow(more="inputs: {a: {typ: string}}\n"),
    workflow(more="inputs: {a: {type: text}}\n"), workflow(more="inputs: {A: {type: string}}\n"), workflow(more="inputs: {a: {enum: []}}\n"),
    workflow(on="[{call: false}]"), workflow(on="[{call: true, manual: true}]"), workflow(on="[{call: true, if: x}]"),
    step("id: a, foreach: [1]"), step("foreach: [1], steps: [{id: b, set: {}}]"), step("id: a, foreach: 7, steps: [{id: b, set: {}}]"),
    step("id: a, foreach: [1], steps: []"), step("id: a, foreach: [1], concurrency: 0, steps: [{id: b, set: {}}]"),
    step("id: a, foreach: [1], concurrency: 1001, steps: [{id: b, set: {}}]"), step("id: a, foreach: [1], tolerate: some, steps: [{id: b, set: {}}]"),
    step("id: a, foreach: [1], tolerate: -1, steps: [{id: b, set: {}}]"), step("id: a, foreach: [1], as: A, steps: [{id: b, set: {}}]"),
    step("id: a, foreach: [1], retry: {}, steps: [{id: b, set: {}}]"), step("id: a, foreach: [1], with: {}, steps: [{id: b, set: {}}]"),
    step("id: a, foreach: [1], set: {}, steps: [{id: b, set: {}}]"), step("id: a, set: {}, as: b"), step("id: a, set: {}, concurrency: 3"),
    step("id: a, set: {}, detach: true"), step("id: a, uses: demo/act@1, detach: true"), step("id: a, uses: workflow/"), step("id: a, uses: workflow/X"),
    workflow(on="{}"), workflow(on="[]"), workflow(on="push"), workflow(on="[push]"), workflow(on="[{}]"),
    workflow(on="[{event: a, manual: true}]"), workflow(on="[{manual: false}]"), workflow(on="[{manual: true, if: x}]"),
    workflow(on="[{event: ''}]"), workflow(on="[{event: a..b}]"), workflow(on="[{event: .a}]"), workflow(on="[{event: a.}]"),
    workflow(on="[{event: '**.a'}]"), workflow(on="[{event: 'a**'}]"), workflow(on="[{event: 'a.***'}]"), workflow(on="[{event: [a]}]"),
    workflow(on="[{event: 7}]"), workflow(on="[{event: a, if: 7}]"), workflow(on="[{event: a, if: ''}]"), workflow(on="[{event: a, if: ' '}]"),
    workflow(on="[{schedule: 7}]"), workflow(on="[{tz: UTC}]"), workflow(on="[{event: a, tz: UTC}]"), workflow(on="[{schedule: '@daily', missed: some}]"),
    workflow(on="[{schedule: '@daily', max_age: soon}]"), workflow(on="[{schedule: '@daily', if: x}]"), workflow(on="[{schedule: '@daily', event: a}]"), workflow(on="[{evnt: a}]"),
    workflow(on="[{webhook: /in/NAME}]"), workflow(on="[{webhook: in, verify: none}]"), workflow(on="[{webhook: '/a?b', verify: none}]"), workflow(on="[{verify: none}]"),
    workflow(on="[{webhook: [a], verify: none}]"), workflow(on="[{webhook: /in/NAME, verify: none, event: a}]"), workflow(on="[{event: a, rate: {limit: 1/1s}}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, tz: UTC}]"), workflow(on="[{webhook: /in/NAME, verify: none, verfy: x}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, name: 'a b'}]"), workflow(on="[{webhook: /in/NAME, verify: none, name: {ref: [x]}}]"),
    workflow(on="[{webhook: /in/NAME, verify: github, secrets: {webhook_secret: plain}}]"), workflow(on="[{webhook: /in/NAME, verify: none, rate: 5/1s}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, rate: {limit: 5/1s, by: sender}}]"), workflow(on="[{webhook: /in/NAME, verify: none, rate: {burst: 5}}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, allow: 10.0.0.0/8}]"), workflow(on="[{webhook: /in/NAME, verify: none, allow: [example.com]}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, schema: {type: text}}]"), workflow(on="[{webhook: /in/NAME, verify: none, public_url: hooks}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, dedupe: 3d}]"), workflow(on="[{webhook: /in/NAME, verify: none, options: [a]}]"),
    workflow(steps="{}"), workflow(steps="[]"), workflow(steps="[x]"),
    workflow(steps="[" + ", ".join(f"{{id: s{i}, set: {{}}}}" for i in range(501)) + "]"),
    step("set: {}"), step("id: a"), step("id: a, set: {}, lua: return 1"), step("id: a, set: {}, with: {}"), step("id: a, sett: {}"),
    step("id: a-b, set: {}"), step("id: A, set: {}"), step("id: end, set: {}"), step("id: 7, set: {}"), step(f"id: {'a' * 65}, set: {{}}"),
    step("id: a, name: 7, set: {}"), step("id: a, name: \"${{ x }}\", set: {}"), step("id: a, if: [], set: {}"), step("id: a, if: '', set: {}"),
    step("id: a, uses: act@1"), step("id: a, uses: demo/act"), step("id: a, uses: demo/act@01"), step("id: a, uses: demo/act@1234567"),
    step("id: a, uses: demo/act@1, guarantee: once"), step("id: a, uses: demo/act@1, effect: writes"), step("id: a, set: {}, guarantee: at_least_once"),
    step("id: a, set: {}, effect: none"), step("id: a, uses: demo/act@1, guarantee: at_most_once, effect: read"),
    step("id: a, uses: demo/act@1, guarantee: at_most_once, repeat: {until: true}"),
    step("id: a, uses: Demo/act@1"), step("id: a, uses: workflow/x@1"), step("id: a, uses: 7"), step("id: a, uses: demo/act@1, with: []"),
    step("id: a, lua: ''"), step("id: a, lua: ' '"), step("id: a, lua: 7"), step("id: a, lua: \"return ${{ x }}\""),
    step("id: a, set: []"), step("id: a, set: 7"), step("id: a, set: {}, outputs: []"),
    step("id: a, lua: return 1, timeout: 30"), step("id: a, lua: return 1, timeout: 5s1m"), step("id: a, lua: return 1, timeout: ''"),
    step("id: a, lua: return 1, timeout: 1.5s"), step("id: a, lua: return 1, timeout: 5"), step("id: a, lua: return 1, timeout: s"),
    workflow(more="expose: rest\n"), workflow(more="expose: {}\n"), workflow(more="expose: {mcp: false}\n"), workflow(more="expose: {mcp: {name: a b}}\n"),
    workflow(more="expose: {mcp: {name: get_run}}\n"), workflow(more="expose: {mcp: {nmae: x}}\n"), workflow(more="expose: {mcp: {title: \"${{ 1 }}\"}}\n"),
    workflow(more=f"expose: {{mcp: {{title: {'t' * 101}}}}}\n"), "name: NAME\nsteps: [{id: a, set: {}}]\n",
    workflow(more="respond: result\n"), workflow(more="respond: {within: 5s}\n"), workflow(more="respond: {mode: later}\n"), workflow(more="respond: {mode: ack, x: 1}\n"),
    workflow(more="respond: {mode: result, within: soon}\n"), workflow(more="respond: {mode: result}\n", steps="[{id: a, respond: {status: 99}}]"),
    workflow(more="respond: {mode: result}\n", steps="[{id: a, respond: []}]"), workflow(more="respond: {mode: result}\n", steps="[{id: a, respond: {boddy: 1}}]"),
    step("id: a, emit: x"), step("id: a, emit: []"), step("id: a, emit: {data: 1}"), step("id: a, emit: {event: a.b, key: {}}"), step("id: a, emit: {event: a, dta: 1}"),
    step("id: a, foreach: x"), step("id: a, sleep: 5"), step("id: a, sleep: {for: 5m}"), step("id: a, sleep: {}"), step("id: a, sleep: 5m, with: {}"),
    step("id: a, sleep: 5m, retry: {}"), step("id: a, wait: x.y"), step("id: a, wait: {timeout: 3d}"), step("id: a, wait: {event: a..b}"),
    step("id: a, wait: {event: a, by: order.id, equals: 1}"), step("id: a, wait: {event: a, by: data.x}"), step("id: a, wait: {event: a, equals: 1}"),
    step("id: a, wait: {event: a, by: data.x, equals: [1]}"), step("id: a, wait: {event: a, any: [{event: b}]}"), step("id: a, wait: {any: []}"),
    step("id: a, wait: {any: [x]}"), step("id: a, wait: {any: [{event: b, timeout: 1h}]}"), step("id: a, wait: {event: b, since: yesterday}"),
    step("id: a, wait: {event: b, on_timeout: stop}"), step("id: a, wait: {event: b, timeout: 5}"), workflow(more="timeout: 5\n"),
    step("steps: [{id: a, set: {}}]"), step("if: true, else: [{id: a, set: {}}]"), step("if: true, steps: []"), step("if: true, steps: {}"),
    step("switch: true"), step("cases: {a: [{id: a, set: {}}]}"), step("switch: true, cases: {}"), step("switch: true, cases: {a: x}"),
    step("switch: true, cases: {a: []}"), step("parallel: []"), step("parallel: [{id: a, set: {}}], with: {}"), step("parallel: [{set: {}}]"),
    step("if: true, steps: [{id: a, set: {}}], retry: {}"), step("id: a, set: {}, needs: a"), step("id: a, set: {}, needs: [7]"),
    workflow(steps="[{id: a, set: {}}, {id: b, needs: [a, a], set: {}}]"), step("if: true, steps: [{id: a, set: {}}], parallel: [{id: b, set: {}}]"),
    step("default: [{id: a, set: {}}]"), workflow(more="fail_fast: 1\n"),
    step("id: a, lua: return 1, retry: 3"), step("id: a, lua: return 1, retry: {atempts: 3}"), step("id: a, lua: return 1, retry: {attempts: 0}"),
    step("id: a, lua: return 1, retry: {attempts: 1.5}"), step("id: a, lua: return 1, retry: {delay: 5}"), step("id: a, lua: return 1, retry: {factor: 0}"),
    step("id: a, lua: return 1, retry: {jitter: 2}"), step("id: a, lua: return 1, retry: {on: []}"), step("id: a, lua: return 1, retry: {on: sometimes}"),
    step("id: a, lua: return 1, retry: {on: [7]}"), step("id: a, lua: return 1, on_error: ignore"), step("id: a, lua: return 1, max_elapsed: 5"),
    step("id: a, set: {}, retry: {}"), step("id: a, set: {}, timeout: 5s"), step("id: a, stop: {}, max_elapsed: 5s"), step("id: a, stop: {}, with: {}"),
    step("id: a, stop: {}, outputs: {}"), step("id: a, stop: failed"), step("id: a, stop: {as: fail}"), step("id: a, stop: {message: 7}"),
    step("id: a, stop: {}, set: {}"), workflow(more="defaults: 5s\n"), workflow(more="defaults: {limit: [x]}\n"),
    step("id: a, lua: return 1, limit: A"), step("id: a, lua: return 1, limit: {cost: 1}"), step("id: a, lua: return 1, limit: {name: llm, cost: -1}"),
    step("id: a, lua: return 1, limit: {name: llm, cost: some}"), step("id: a, lua: return 1, limit: {name: llm, kay: 1}"), step("id: a, set: {}, limit: llm"), workflow(more="defaults: {timeout: 5}\n"),
]

# What a JSON Schema cannot say: it sees one value at a time, and no expression.
LOADER_ONLY = [
    workflow(on="[{webhook: /in/NAME, verify: githubb}]"), workflow(on="[{webhook: /in/NAME, verify: github}]"),  # no such scheme; its secret is missing
    workflow(on="[{webhook: /healthz, verify: none}]"), workflow(on="[{webhook: /in/good-0, verify: none}, {webhook: /in/NAME, verify: none}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, allow: [10.0.0.1/8]}]"), workflow(on="[{webhook: /in/NAME, verify: none, rate: [{limit: 5/1s}, {limit: 5/1s}]}]"),
    workflow(on="[{webhook: /in/NAME, verify: none, schema: {default: 1}}]"),
    step("id: a, approve: {message: m, need: 3, to: [ann, bob]}"),          # more than are asked
    workflow(steps="[{id: a, foreach: [1], steps: [{id: b, set: {}}]}, {id: c, set: {x: \"${{ steps.b.x }}\"}}]"),  # a step of an item
    workflow(steps="[{id: a, set: {}}, {id: b, foreach: [1], steps: [{id: c, needs: [a], set: {}}]}]"),
    step("id: a, foreach: [1], as: steps, steps: [{id: b, set: {}}]"), step("id: a, set: {x: \"${{ inputs.nobody }}\"}"),
    step("id: a, uses: workflow/nobody"), step("id: a, uses: workflow/good-1"),     # no such workflow; one that does not want to be called
    step("id: a, uses: workflow/good-0, with: {t: \"${{ secrets.A }}\"}"), workflow(more="inputs: {a: {type: integer, default: x}}\n"),
    workflow(steps="[{id: a, set: {}}, {id: a, set: {}}]"),             # two steps with one id
    step("id: a, emit: {event: 'a b'}"), step("id: a, set: {}, needs: [nobody]"), step("id: a, set: {}, needs: [a]"),
    step("id: a, set: {b: \"${{ steps.nobody.x }}\"}"),                   # a reference to no step
    workflow(steps="[{id: a, if: steps.b.x, set: {}}, {id: b, set: {}}]"),  # or to one that has not run yet
    step("id: a, lua: return 1, with: {t: \"${{ secrets.NOT_GRANTED }}\"}"),
    step("id: a, set: {t: \"${{ x \"}"),                                 # an expression that is not closed
    step("id: a, set: {t: \"${{ }}\"}"),                                 # or empty
    step("id: a, if: \"${{ a }} and b\", set: {}"),                      # or followed by text
    step("id: a, if: \"${{ a b }}\", set: {}"),                          # or no Lua
    step("id: a, lua: 'return ('"),                                      # code that is no Lua
    step("id: a, set: {\"${{ x }}\": 1}"),                               # an expression in a key
    workflow(more="vars: {a: \"${{ x }}\"}\n"),                           # or in a constant
    step("id: a, lua: return 1, limit: nobody"),                         # no such limit
    step("id: a, uses: demo/nobody@1"),                                  # no such action
    step("id: a, lua: return 1, timeout: 0s"),                           # durations have a least and a largest value
    step("id: a, lua: return 1, timeout: 25h"),
    step("id: a, lua: return 1, retry: {delay: 25h}"),
    step("id: a, lua: return 1, max_elapsed: 1m, retry: {max_elapsed: 1m}"),
    "name: NAME\nname: NAME\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n",  # a key twice: most YAML readers take the last
]


class Yaml12(yaml.SafeLoader):
    """YAML 1.2 as the loader reads it: yes, no, on and off are texts."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """(list name, index) -> (errors of the loader, errors of the schema): one run of the loader over all of them."""
    texts, loader = {}, {}
    # Every file has few faults, but the list of errors is cut at 200: some of a list at a time.
    parts = [(name, first, samples[first:first + 60]) for name, samples in (("good", GOOD), ("bad", BAD), ("loader", LOADER_ONLY))
             for first in range(0, len(samples), 60)]
    for name, first, samples in parts:
        engine = Engine(tmp_path_factory.mktemp("schema") / "instance", "listen: http://127.0.0.1:0\npools: {big: {workers: 2}}\nlimits: {llm: {rate: 10/1s, burst: 5}}\n")
        engine.write("actions/demo/act.lua", ACTION)
        engine.write("workflows/good-0.yaml", GOOD[0].replace("NAME", "good-0"))  # who is called
        for index, text in enumerate(samples, first):
            texts[name, index] = text.replace("NAME", f"{name}-{index}")
            engine.write(f"workflows/{name}-{index}.yaml", texts[name, index])
        for line in engine.run("check", "--json", check=False).stdout.splitlines():
            error = json.loads(line)
            loader.setdefault(error["file"].rsplit("/", 1)[-1], []).append(error["message"])
    schema = json.loads(engine.run("check", "--print-schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    return {key: (loader.get(f"{key[0]}-{key[1]}.yaml", []), [error.message for error in validator.iter_errors(yaml.load(text, Yaml12))])
            for key, text in texts.items()}


def test_schema_is_valid_draft_2020_12(make_engine):
    schema = json.loads(make_engine().run("check", "--print-schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("index", range(len(GOOD)))
def test_both_take_what_is_good(verdicts, index):
    loader, schema = verdicts["good", index]
    assert not loader and not schema, GOOD[index]


@pytest.mark.parametrize("index", range(len(BAD)))
def test_both_refuse_what_is_bad(verdicts, index):
    loader, schema = verdicts["bad", index]
    assert loader and schema, BAD[index]


@pytest.mark.parametrize("index", range(len(LOADER_ONLY)))
def test_only_the_loader_sees_through_expressions(verdicts, index):
    loader, schema = verdicts["loader", index]
    assert loader and not schema, LOADER_ONLY[index]


def test_every_key_is_described(make_engine):
    schema = json.loads(make_engine().run("check", "--print-schema").stdout)
    for part in (schema, schema["$defs"]["trigger"], schema["$defs"]["step"]):
        assert part["additionalProperties"] is False
        assert all(value.get("description") for value in part["properties"].values())
