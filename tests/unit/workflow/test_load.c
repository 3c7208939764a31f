/* What the loader takes and what it refuses: code, place and next step. In the samples '§' stands in front of what is wrong; it is taken out before
 * the text is loaded, so the expected places are read off the sample and not counted by hand. */
#include "workflow_fixture.h"

#define HEAD "name: t\non: [{manual: true}]\n"
#define STEPS HEAD "steps:\n  - {id: one, set: {a: 1}}\n"

struct refusal {
    const char *text, *code, *part; /* of message or hint; "" = no hint is due */
};

static const struct refusal refusals[] = {
    /* the whole */
    {"§", "workflow.type", "begins with name:, on: and steps:"},
    {"§- a\n", "workflow.type", "must be a map, found a list"},
    {"§{}\n", "workflow.missing_key", "'name'"},
    {"§on: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", "workflow.missing_key", "'name'"},
    {"§name: t\nsteps: [{id: a, set: {}}]\n", "workflow.missing_key", "'on'"},
    {"§" HEAD, "workflow.missing_key", "'steps'"},
    {HEAD "steps: [{id: a, set: {}}]\n§step: []\n", "workflow.unknown_key", "did you mean 'steps'?"},
    {HEAD "steps: [{id: a, set: {}}]\n§Steps: []\n", "workflow.unknown_key", "did you mean 'steps'?"},
    {HEAD "steps: [{id: a, set: {}}]\n§somethingelse: []\n", "workflow.unknown_key", "'somethingelse'"},
    {HEAD "steps: [{id: a, set: {}}]\npool: §Big\n", "workflow.pool", "name of a pool"},
    {HEAD "collect: §2m\nsteps: [{id: a, set: {}}]\n", "workflow.type", "collect must be a map"},
    {HEAD "collect: §{max_events: 5}\nsteps: [{id: a, set: {}}]\n", "collect.when", "quiet: 2m"},
    {HEAD "collect: {§quite: 2m}\nsteps: [{id: a, set: {}}]\n", "workflow.unknown_key", "did you mean 'quiet'?"},
    {HEAD "collect: {quiet: §soon}\nsteps: [{id: a, set: {}}]\n", "collect.quiet", "30s, 5m"},
    {HEAD "collect: {max_wait: §400d}\nsteps: [{id: a, set: {}}]\n", "collect.max_wait", "at most 366d"},
    {HEAD "collect: {quiet: §5m, max_wait: 1m}\nsteps: [{id: a, set: {}}]\n", "collect.quiet", "longer than `max_wait`"},
    {HEAD "collect: {quiet: 2m, max_events: §0}\nsteps: [{id: a, set: {}}]\n", "collect.max_events", "from 1 to 1000"},
    {HEAD "collect: {quiet: 2m, max_events: §1001}\nsteps: [{id: a, set: {}}]\n", "collect.max_events", "from 1 to 1000"},
    {HEAD "collect: {quiet: 2m, key: \"${{ steps.§a.x }}\"}\nsteps: [{id: a, set: {}}]\n", "expr.step_order", "when collect is evaluated"},
    {HEAD "collect: {quiet: 2m, key: \"${{ §events[1].id }}\"}\nsteps: [{id: a, set: {}}]\n", "expr.too_early", "use the event"},
    {HEAD "collect: {quiet: 2m}\nconcurrency: {key: \"${{ §events[1].id }}\"}\nsteps: [{id: a, set: {}}]\n", "expr.too_early", "use the event"},
    {HEAD "collect: {quiet: 2m}\nrespond: §{mode: result}\nsteps: [{id: a, set: {}}]\n", "collect.respond", "one of the two"},
    {HEAD "steps: [{id: a, set: {n: \"${{ len(§events) }}\"}}]\n", "expr.events_name", "did you mean `event`?"},
    {HEAD "steps: [{id: a, foreach: \"${{ §events }}\", steps: [{id: b, set: {}}]}]\n", "expr.events_name", "with `collect`"},
    {HEAD "§name: t\nsteps: []\n", "yaml.duplicate_key", "already on line 1"},
    {HEAD "steps: [{id: a, set: {b: §*x}}]\n", "yaml.alias", ""},
    {HEAD "steps: [{id: a, set: {b: \"a§\\0b\"}}]\n", "workflow.nul", "leave the \\0 out"},
    /* name, description */
    {"name: §T\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", "workflow.name", "a-z, 0-9 and '-'"},
    {"name: §1\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", "workflow.name", "a-z"},
    {"name: §a_b\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", "workflow.name", "a-z"},
    {"name: §\"\"\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", "workflow.name", "a-z"},
    {"name: §[t]\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", "workflow.name", "a-z"},
    {HEAD "description: §7\nsteps: [{id: a, set: {}}]\n", "workflow.type", "put quotes around it"},
    {HEAD "description: for §${{ event.name }}\nsteps: [{id: a, set: {}}]\n", "expr.misplaced", "`if`, `with`, `set` and `outputs`"},
    /* on */
    {"name: t\non: §push\nsteps: [{id: a, set: {}}]\n", "workflow.type", "on: [{event: github.push}]"},
    {"name: t\non: §[]\nsteps: [{id: a, set: {}}]\n", "workflow.type", "at least one trigger"},
    {"name: t\non: [§push]\nsteps: [{id: a, set: {}}]\n", "workflow.type", "must be a map"},
    {"name: t\non: [§{}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "{event: NAME}, {webhook: /PATH"},
    {"name: t\non: [§{event: a.b, manual: true}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "either"},
    {"name: t\non: [{§evnt: a.b}]\nsteps: [{id: a, set: {}}]\n", "workflow.unknown_key", "did you mean 'event'?"},
    {"name: t\non: [§{webhook: /x}]\nsteps: [{id: a, set: {}}]\n", "source.no_verify", "verify: none"},
    {"name: t\non: [{webhook: §x, verify: none}]\nsteps: [{id: a, set: {}}]\n", "source.path", "begin with '/'"},
    {"name: t\non: [{webhook: §/status/x, verify: none}]\nsteps: [{id: a, set: {}}]\n", "source.path", "below /status/"},
    {"name: t\non: [{webhook: /x, §verfy: none}]\nsteps: [{id: a, set: {}}]\n", "config.unknown_key", "did you mean 'verify'?"},
    {"name: t\non: [{webhook: /x, verify: none, §tz: UTC}]\nsteps: [{id: a, set: {}}]\n", "config.unknown_key", "a webhook trigger"},
    {"name: t\non: [§{webhook: /x, verify: none, event: a.b}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "`event`"},
    {"name: t\non: [{event: a.b, §verify: none}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "goes with `webhook`"},
    {"name: t\non: [{event: a.b, §batch: whole}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "goes with `webhook`"},
    {"name: t\non: [{webhook: /x, verify: none}, §{webhook: /y, verify: none}]\nsteps: [{id: a, set: {}}]\n", "trigger.webhook", "bellwire.yaml"},
    {"name: t\non: [{webhook: /x, verify: none, name: §a b}]\nsteps: [{id: a, set: {}}]\n", "config.event", "letters, digits"},
    {"name: t\non: [{webhook: /x, verify: none, name: §[a]}]\nsteps: [{id: a, set: {}}]\n", "config.type", "name must be a name"},
    {"name: t\non: [{webhook: /x, verify: hmac, secrets: {secret: §s3cret}}]\nsteps: [{id: a, set: {}}]\n", "secret.reference", "never written"},
    {"name: t\non: [{webhook: /x, verify: none, rate: {limit: §5}}]\nsteps: [{id: a, set: {}}]\n", "source.rate", "100/1s"},
    {"name: t\non: [{webhook: /x, verify: none, public_url: \"§${{ vars.u }}\"}]\nsteps: [{id: a, set: {}}]\n", "expr.misplaced", "a webhook"},
    {"name: bellwire\non: [§{webhook: /x, verify: none}]\nsteps: [{id: a, set: {}}]\n", "config.name", "the engine's own"},
    {"name: t\non: [{schedule: §\"61 * * * *\"}]\nsteps: [{id: a, set: {}}]\n", "cron.syntax", "minute"},
    {"name: t\non: [{schedule: §\"0 0 30 2 *\"}]\nsteps: [{id: a, set: {}}]\n", "cron.never", "never"},
    {"name: t\non: [{schedule: §7}]\nsteps: [{id: a, set: {}}]\n", "trigger.schedule", "0 9 * * MON-FRI"},
    {"name: t\non: [{schedule: \"@daily\", tz: §Europe/Berln}]\nsteps: [{id: a, set: {}}]\n", "zone.unknown", "Europe/Berlin"},
    {"name: t\non: [{schedule: \"@daily\", missed: §some}]\nsteps: [{id: a, set: {}}]\n", "trigger.missed", "latest (the default)"},
    {"name: t\non: [{schedule: \"@daily\", max_age: §soon}]\nsteps: [{id: a, set: {}}]\n", "trigger.max_age", "30m or 24h"},
    {"name: t\non: [{schedule: \"@daily\", max_age: §0s}]\nsteps: [{id: a, set: {}}]\n", "trigger.max_age", "30m or 24h"},
    {"name: t\non: [{schedule: \"@daily\", if: §\"true\"}]\nsteps: [{id: a, set: {}}]\n", "trigger.if", "`event`"},
    {"name: t\non: [§{tz: UTC}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "event"},
    {"name: t\non: [§{event: a, tz: UTC}]\nsteps: [{id: a, set: {}}]\n", "trigger.kind", "go with `schedule`"},
    {"name: t\non: [{manual: §false}]\nsteps: [{id: a, set: {}}]\n", "trigger.manual", "only be true"},
    {"name: t\non: [{manual: true, if: §x}]\nsteps: [{id: a, set: {}}]\n", "trigger.if", "in the `if` of the steps"},
    {"name: t\non: [{event: §a..b}]\nsteps: [{id: a, set: {}}]\n", "trigger.event", "github.**"},
    {"name: t\non: [{event: §a.**.b}]\nsteps: [{id: a, set: {}}]\n", "trigger.event", "** only as the last part"},
    {"name: t\non: [{event: §\"a**\"}]\nsteps: [{id: a, set: {}}]\n", "trigger.event", "** only as the last part"},
    {"name: t\non: [{event: §\"\"}]\nsteps: [{id: a, set: {}}]\n", "trigger.event", "name of an event"},
    {"name: t\non: [{event: §[a]}]\nsteps: [{id: a, set: {}}]\n", "trigger.event", "name of an event"},
    {"name: t\non: [{event: a.b, if: §7}]\nsteps: [{id: a, set: {}}]\n", "expr.type", "an expression is expected"},
    /* vars, secrets, outputs */
    {HEAD "vars: §[a]\nsteps: [{id: a, set: {}}]\n", "workflow.type", "vars must be a map"},
    {HEAD "vars: {a: [{b: \"x §${{ event.name }}\"}]}\nsteps: [{id: a, set: {}}]\n", "expr.misplaced", "a constant"},
    {HEAD "vars: {\"§${{ a }}\": 1}\nsteps: [{id: a, set: {}}]\n", "expr.misplaced", "a constant"},
    {HEAD "secrets: §TOKEN\nsteps: [{id: a, set: {}}]\n", "workflow.type", "secrets: [API_KEY]"},
    {HEAD "secrets: [§a-b]\nsteps: [{id: a, set: {}}]\n", "workflow.secret", "letters, digits and _"},
    {HEAD "secrets: [§1A]\nsteps: [{id: a, set: {}}]\n", "workflow.secret", "no digit in front"},
    {HEAD "secrets: [A, B, §A]\nsteps: [{id: a, set: {}}]\n", "workflow.secret", "listed twice"},
    {HEAD "steps: [{id: a, set: {}}]\noutputs: §[a]\n", "workflow.type", "outputs must be a map"},
    /* steps */
    {HEAD "steps: §{}\n", "workflow.type", "must be a list"},
    {HEAD "steps: §[]\n", "workflow.type", "at least one step"},
    {HEAD "steps: [§post]\n", "workflow.type", "a step must be a map"},
    {HEAD "steps: [§{set: {}}]\n", "step.no_id", "id: post"},
    {HEAD "steps: [§{id: a}]\n", "step.no_verb", "exactly one of: uses, lua, set, sleep, wait, approve, emit, respond, foreach, stop"},
    {HEAD "steps: [{id: a, set: {}, §lua: return 1}]\n", "step.verbs", "exactly one of"},
    {HEAD "steps: [{id: a, set: {}, with: §{}}]\n", "step.with", "write the values into `set`"},
    {HEAD "steps: [{id: a, §run: return 1}]\n", "workflow.unknown_key", "'run'"},
    {HEAD "steps: [{id: a, lua: return 1, §wiht: {}}]\n", "workflow.unknown_key", "did you mean 'with'?"},
    {HEAD "steps: [§{id: a, foreach: [1]}]\n", "step.foreach", "needs `steps`"},
    {HEAD "steps: [{id: a, foreach: [1], concurrency: §0, steps: [{id: b, set: {}}]}]\n", "foreach.concurrency", "1 to 1000"},
    {HEAD "steps: [{id: a, foreach: [1], tolerate: §few, steps: [{id: b, set: {}}]}]\n", "foreach.tolerate", "2%"},
    {HEAD "steps: [{id: a, foreach: [1], as: §event, steps: [{id: b, set: {}}]}]\n", "foreach.as", "has that name already"},
    {HEAD "steps: [{id: a, foreach: [1], as: §list, steps: [{id: b, set: {}}]}]\n", "foreach.as", "has that name already"},
    {HEAD "steps: [{id: a, foreach: [1], as: §index, steps: [{id: b, set: {}}]}]\n", "foreach.as", "has that name already"},
    {HEAD "steps: [{id: a, foreach: §{}, steps: [{id: b, set: {}}]}]\n", "step.foreach", "found a map"},
    {HEAD "steps: [{id: a, foreach: [1], §retry: {}, steps: [{id: b, set: {}}]}]\n", "step.foreach", "`retry` cannot be used"},
    {HEAD "steps: [{id: a, lua: 'return {}', repeat: {until: x, max: §0}}]\n", "step.repeat", "leave it out"},
    {HEAD "steps: [{id: a, lua: 'return {}', repeat: {until: x, every: §0s}}]\n", "step.repeat", "write a duration"},
    {HEAD "steps: [{id: a, set: {}, concurrency: §3}]\n", "step.foreach", "goes with `foreach`"},
    {HEAD "steps: [{id: a, foreach: [1], steps: [{id: b, set: {}}]}, {id: c, set: {y: \"${{ steps.§b.z }}\"}}]\n", "expr.step_inside",
     "steps.a.items"},
    {HEAD "steps: [{id: a, set: {}}, {id: b, foreach: [1], steps: [{id: c, needs: [§a], set: {}}]}]\n", "step.needs", "not in the same foreach"},
    {HEAD "steps: [{id: a, set: {}, detach: §true}]\n", "step.detach", "workflow/NAME"},
    {HEAD "steps: [{id: a, uses: workflow/b, with: {t: \"${{ §secrets.K }}\"}}]\n", "expr.secret", "`with` of a step"},
    {HEAD "inputs: §x\nsteps: [{id: a, set: {}}]\n", "workflow.type", "a map from names"},
    {HEAD "inputs: {a: §{type: text}}\nsteps: [{id: a, set: {}}]\n", "schema.invalid", "unknown type 'text'"},
    {HEAD "inputs: {§A: {type: string}}\nsteps: [{id: a, set: {}}]\n", "workflow.input", "'A' is no name"},
    {HEAD "inputs: {page: {type: string}}\nsteps: [{id: a, set: {x: \"${{ inputs.§pag }}\"}}]\n", "expr.unknown_input", "did you mean 'page'?"},
    {HEAD "vars: {limit: {max: 3}, other: 1}\nsteps: [{id: a, set: {x: \"${{ vars.limit.min or vars.§limt }}\"}}]\n", "expr.unknown_var",
     "did you mean 'limit'?"},
    {HEAD "steps: [{id: a, if: \"vars['§x'] == 1\", set: {}}]\n", "expr.unknown_var", "declare it"},
    {"name: t\non: [{call: true, if: §x}]\nsteps: [{id: a, set: {}}]\n", "trigger.if", "who calls has decided"},
    {HEAD "steps: [{id: a, emit: §x}]\n", "workflow.type", "{event: order.late"},
    {HEAD "steps: [{id: a, emit: §[]}]\n", "step.emit", "1 to 100 events"},
    {HEAD "steps: [{id: a, emit: §{data: 1}}]\n", "emit.event", "an event needs a name"},
    {HEAD "steps: [{id: a, emit: {event: §\"a b\"}}]\n", "emit.event", "without * and spaces"},
    {HEAD "steps: [{id: a, emit: {event: a.b, key: §{}}}]\n", "emit.key", "a text or a number"},
    {HEAD "steps: [{id: a, emit: {event: a.b, §dta: 1}}]\n", "workflow.unknown_key", "did you mean 'data'?"},
    {HEAD "steps: [{id: a, emit: {event: a.b, delay: §soon}}]\n", "emit.delay", "30s, 5m"},
    {HEAD "steps: [{id: a, emit: {event: a.b, delay: §5}}]\n", "emit.delay", "30s, 5m"},
    {HEAD "steps: [{id: a, emit: {event: §bellwire.run.failed}}]\n", "emit.event", "order.late"},
    {HEAD "respond: §result\nsteps: [{id: a, set: {}}]\n", "workflow.type", "respond must be a map"},
    {HEAD "respond: §{within: 5s}\nsteps: [{id: a, set: {}}]\n", "respond.mode", "ack"},
    {HEAD "respond: {mode: §later}\nsteps: [{id: a, set: {}}]\n", "respond.mode", "or result"},
    {HEAD "respond: {mode: result, within: §61s}\nsteps: [{id: a, set: {}}]\n", "respond.within", "at most 60s"},
    {HEAD "respond: {mode: result, within: §0s}\nsteps: [{id: a, set: {}}]\n", "respond.within", "at most 60s"},
    {HEAD "respond: {mode: result, §withn: 5s}\nsteps: [{id: a, set: {}}]\n", "workflow.unknown_key", "did you mean 'within'?"},
    {HEAD "steps: [{id: a, respond: §{body: 1}}]\n", "step.respond", "nobody waits for this answer"},
    {HEAD "respond: {mode: ack}\nsteps: [{id: a, respond: §{body: 1}}]\n", "step.respond", "nobody waits for this answer"},
    {HEAD "respond: {mode: result}\nsteps: [{id: f, foreach: [1], steps: [{id: a, respond: §{body: 1}}]}]\n", "step.respond", "one answer"},
    {HEAD "respond: {mode: result}\nsteps: [{id: a, respond: §[]}]\n", "workflow.type", "respond must be a map"},
    {HEAD "respond: {mode: result}\nsteps: [{id: a, respond: {status: §199}}]\n", "respond.status", "200 to 599"},
    {HEAD "respond: {mode: result}\nsteps: [{id: a, respond: {headers: §x}}]\n", "workflow.type", "headers must be a map"},
    {HEAD "respond: {mode: result}\nsteps: [{id: a, respond: {§bdy: 1}}]\n", "workflow.unknown_key", "did you mean 'body'?"},
    /* sleep, wait, timeout */
    {HEAD "steps: [{id: a, sleep: §5}]\n", "step.sleep", "a duration or a map"},
    {HEAD "steps: [{id: a, sleep: §soon}]\n", "step.sleep", "30s, 5m, 2h or 3d"},
    {HEAD "steps: [{id: a, sleep: §367d}]\n", "step.sleep", "at most 366d"},
    {HEAD "steps: [{id: a, sleep: {§for: 5m}}]\n", "workflow.unknown_key", "'for'"},
    {HEAD "steps: [{id: a, sleep: {until: §tomorrow}}]\n", "step.sleep", "2026-11-23T12:00:00Z"},
    {HEAD "steps: [{id: a, sleep: {until: §2026-11-31T12:00:00Z}}]\n", "step.sleep", "until is no time"},
    {HEAD "steps: [{id: a, sleep: {until: §true}}]\n", "step.sleep", "until is no time"},
    {HEAD "steps: [{id: a, sleep: 5m, with: §{}}]\n", "step.with", "not with `sleep`"},
    {HEAD "steps: [{id: a, sleep: 5m, retry: §{}}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [§{id: a, sleep: 31d}]\n", "step.too_long", "waits for 31d, but the run ends after 30d"},
    {HEAD "timeout: 1h\nsteps: [§{id: a, wait: {event: x, timeout: 2h}}]\n", "step.too_long", "longer `timeout`"},
    {HEAD "timeout: §5\nsteps: [{id: a, set: {}}]\n", "workflow.timeout", "30s, 5m, 2h or 3d"},
    {HEAD "steps: [{id: a, wait: §order.paid}]\n", "workflow.type", "{event: order.paid, timeout: 3d}"},
    {HEAD "steps: [{id: a, wait: §{timeout: 3d}}]\n", "wait.event", "the name of an event"},
    {HEAD "steps: [{id: a, wait: {event: §a..b}}]\n", "wait.event", "stripe.invoice.paid"},
    {HEAD "steps: [{id: a, wait: {event: a, by: §order.id, equals: 1}}]\n", "wait.by", "from `data` on"},
    {HEAD "steps: [{id: a, wait: {event: a, by: §data.order.id}}]\n", "wait.by", "go together"},
    {HEAD "steps: [{id: a, wait: {event: a, equals: §1}}]\n", "wait.by", "go together"},
    {HEAD "steps: [{id: a, wait: {event: a, by: data.id, equals: §[1]}}]\n", "wait.equals", "found a list"},
    {HEAD "steps: [{id: a, wait: {event: a, any: §[{event: b}]}}]\n", "step.wait", "either `event` or `any`"},
    {HEAD "steps: [{id: a, wait: {any: §[]}}]\n", "step.wait", "1 to 16 events"},
    /* when runs begin */
    {HEAD "rate: §5/1h\nsteps: [{id: a, set: {}}]\n", "workflow.type", "rate must be a map"},
    {HEAD "rate: §{burst: 2}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "limit: 60/1m"},
    {HEAD "rate: {limit: §0/1h}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "5/1h"},
    {HEAD "rate: {limit: §5}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "5/1h"},
    {HEAD "rate: {limit: §5/h}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "5/1h"},
    {HEAD "rate: {limit: §-5/1h}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "5/1h"},
    {HEAD "rate: {limit: §5/0s}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "5/1h"},
    {HEAD "rate: {limit: §20000/1s}\nsteps: [{id: a, set: {}}]\n", "rate.limit", "10000 runs a second"},
    {HEAD "rate: {limit: 5/1h, burst: §0}\nsteps: [{id: a, set: {}}]\n", "rate.burst", "from 1 to 1000000"},
    {HEAD "rate: {limit: 1/1d, burst: §1000}\nsteps: [{id: a, set: {}}]\n", "rate.burst", "366 days"},
    {HEAD "rate: {limit: 5/1h, key: §5}\nsteps: [{id: a, set: {}}]\n", "expr.type", "expression"},
    {HEAD "rate: {limit: 5/1h, key: \"${{ inputs.§b }}\"}\ninputs: {bb: {}}\nsteps: [{id: a, set: {}}]\n", "expr.unknown_input",
     "did you mean 'bb'?"},
    {HEAD "collect: {quiet: 2m, key: \"${{ §inputs.a }}\"}\ninputs: {a: {}}\nsteps: [{id: a, set: {}}]\n", "expr.too_early", "collect"},
    {"name: w\non: [{event: e, if: \"${{ §inputs.a }}\"}]\ninputs: {a: {}}\nsteps: [{id: a, set: {}}]\n", "expr.too_early", "a trigger"},
    {HEAD "rate: {limit: 5/1h, over: §delya}\nsteps: [{id: a, set: {}}]\n", "rate.over", "did you mean 'delay'?"},
    {HEAD "rate: {limit: 5/1h, §bursts: 3}\nsteps: [{id: a, set: {}}]\n", "workflow.unknown_key", "did you mean 'burst'?"},
    {HEAD "priority: §10\nsteps: [{id: a, set: {}}]\n", "workflow.priority", "goes with `concurrency`"},
    {HEAD "concurrency: {}\npriority: §3601\nsteps: [{id: a, set: {}}]\n", "workflow.priority", "-3600 to 3600"},
    {HEAD "concurrency: {}\npriority: §[1]\nsteps: [{id: a, set: {}}]\n", "workflow.priority", "-3600 to 3600"},
    {HEAD "concurrency: {}\npriority: steps.§a.x\nsteps: [{id: a, set: {}}]\n", "expr.step_order", "priority"},
    {HEAD "delay: §soon\nsteps: [{id: a, set: {}}]\n", "workflow.delay", "30s, 5m"},
    {HEAD "delay: §10\nsteps: [{id: a, set: {}}]\n", "workflow.delay", "30s, 5m"},
    {HEAD "delay: \"${{ inputs.§b }}m\"\nsteps: [{id: a, set: {}}]\n", "expr.unknown_input", "declare it"},
    {HEAD "start_within: §\"${{ 1 }}h\"\nsteps: [{id: a, set: {}}]\n", "workflow.start_within", "30s, 5m"},
    {HEAD "delay: 1h\nstart_within: §1h\nsteps: [{id: a, set: {}}]\n", "workflow.start_within", "no run would ever begin"},
    {HEAD "concurrency: {key: §5}\nsteps: [{id: a, set: {}}]\n", "expr.type", "expression"},
    {HEAD "concurrency: {on_failed: §hodl}\nsteps: [{id: a, set: {}}]\n", "workflow.concurrency", "did you mean 'hold'?"},
    {HEAD "cancel_on: §[]\nsteps: [{id: a, sleep: 1s}]\n", "workflow.cancel_on", "1 to 16 events"},
    {HEAD "cancel_on: §{event: a}\nsteps: [{id: a, sleep: 1s}]\n", "workflow.cancel_on", "a list"},
    {HEAD "cancel_on: [§a]\nsteps: [{id: a, sleep: 1s}]\n", "workflow.type", "must be a map"},
    {HEAD "cancel_on: [{event: a, §wen: b}]\nsteps: [{id: a, sleep: 1s}]\n", "workflow.unknown_key", "wen"},
    {HEAD "cancel_on: [{event: a, by: data.n, equals: '${{ steps.§a.n }}'}]\nsteps: [{id: a, set: {n: 1}}]\n", "expr.step_order", "cancel_on"},
    {HEAD "steps: [{id: a, wait: {any: [§x]}}]\n", "workflow.type", "must be a map"},
    {HEAD "steps: [{id: a, wait: {any: [{event: b, §timeout: 1h}]}}]\n", "workflow.unknown_key", "'timeout'"},
    {HEAD "steps: [{id: a, wait: {event: b, since: §yesterday}}]\n", "wait.since", "since"},
    {HEAD "steps: [{id: a, wait: {event: b, timeout: §0s}}]\n", "wait.timeout", "timeout"},
    {HEAD "steps: [{id: a, wait: {event: b, on_timeout: §stop}}]\n", "wait.on_timeout", "continue (the default) or fail"},
    {HEAD "steps: [{id: a, wait: {event: b, by: data.x, equals: \"${{ steps.§b.x }}\"}}]\n", "expr.unknown_step", "'b'"},
    /* blocks and needs */
    {HEAD "steps: [§{steps: [{id: a, set: {}}]}]\n", "step.block", "needs an `if`"},
    {HEAD "steps: [§{if: true, else: [{id: a, set: {}}]}]\n", "step.block", "`else` goes with"},
    {HEAD "steps: [{if: true, steps: §[]}]\n", "workflow.type", "at least one step"},
    {HEAD "steps: [{if: true, steps: [{id: a, set: {}}], else: §{}}]\n", "workflow.type", "else must be a list"},
    {HEAD "steps: [{if: true, steps: [{id: a, §sett: {}}]}]\n", "workflow.unknown_key", "did you mean 'set'?"},
    {HEAD "steps: [§{switch: true}]\n", "step.block", "needs `cases`"},
    {HEAD "steps: [{switch: true, cases: §[]}]\n", "step.block", "a map from values"},
    {HEAD "steps: [§{cases: {a: [{id: a, set: {}}]}}]\n", "step.block", "go with a `switch`"},
    {HEAD "steps: [{switch: true, cases: {a: §x}}]\n", "workflow.type", "a case must be a list"},
    {HEAD "steps: [{switch: true, cases: {\"§${{ x }}\": [{id: a, set: {}}]}}]\n", "expr.misplaced", "a case"},
    {HEAD "steps: [{parallel: §x}]\n", "workflow.type", "parallel must be a list"},
    {HEAD "steps: [{parallel: [{id: a, set: {}}], §with: {}}]\n", "step.block", "block of `parallel`"},
    {HEAD "steps: [{if: true, steps: [{id: a, set: {}}], §retry: {}}]\n", "step.block", "block of `if`"},
    {HEAD "steps: [{if: true, steps: [{id: a, set: {}}, {id: §a, set: {}}]}]\n", "step.same_id", "used twice"},
    {STEPS "  - {id: two, needs: §one, set: {}}\n", "workflow.type", "needs: [fetch]"},
    {STEPS "  - {id: two, needs: [§oen], set: {}}\n", "step.needs", "did you mean 'one'?"},
    {STEPS "  - {id: two, needs: [one, §one], set: {}}\n", "step.needs", "named twice"},
    {STEPS "  - {id: two, needs: §[two], set: {}}\n", "step.cycle", "waits for itself"},
    {STEPS "  - {id: two, needs: §[three], set: {}}\n  - {id: three, set: {}}\n", "step.cycle", "two waits for itself"},
    {STEPS "  - {id: two, if: true, steps: [{id: three, needs: §[two], set: {}}]}\n", "step.cycle", "three waits"},
    {STEPS "  - {id: two, needs: [], set: {b: \"${{ steps.§one.a }}\"}}\n", "expr.step_order", "may not have ended"},
    {STEPS "  - {parallel: [{id: two, set: {}}, {id: three, if: \"ok('§two')\", set: {}}]}\n", "expr.step_order", "with `needs`"},
    {STEPS "  - {if: true, steps: [{id: two, set: {}}], else: [{id: three, if: \"ok('§two')\", set: {}}]}\n", "expr.step_order", "'two'"},
    {HEAD "fail_fast: §yes\nsteps: [{id: a, set: {}}]\n", "workflow.type", "true or false"},
    /* retry, on_error, stop, defaults */
    {HEAD "steps: [{id: a, lua: return 1, retry: §3}]\n", "workflow.type", "{attempts: 1} is no retry"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {§atempts: 3}}]\n", "workflow.unknown_key", "did you mean 'attempts'?"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {attempts: §0}}]\n", "retry.attempts", "1 is no retry"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {attempts: §101}}]\n", "retry.attempts", "1 to 100"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {attempts: §\"3\"}}]\n", "retry.attempts", "whole number"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {delay: §5}}]\n", "retry.duration", "500ms, 30s or 5m"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {max_delay: §25h}}]\n", "retry.duration", "at most"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {max_delay: §1s, delay: 2s}}]\n", "retry.max_delay", "make it longer"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {factor: §0.5}}]\n", "retry.number", "from 1 to 100"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {jitter: §2}}]\n", "retry.number", "from 0 to 1"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {on: §sometimes}}]\n", "retry.on", "transient, any, or a list"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {on: §[]}}]\n", "retry.on", "error codes"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {on: §[7]}}]\n", "retry.on", "error codes"},
    {HEAD "steps: [{id: a, lua: return 1, retry: {max_elapsed: 5m}, max_elapsed: §1m}]\n", "step.max_elapsed", "remove one"},
    {HEAD "steps: [{id: a, lua: return 1, max_elapsed: §soon}]\n", "retry.duration", "max_elapsed"},
    {HEAD "steps: [{id: a, lua: return 1, on_error: §ignore}]\n", "step.on_error", "fail (the default) or continue"},
    {HEAD "steps: [{id: a, set: {}, retry: §{attempts: 2}}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, stop: {}, timeout: §5s}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, stop: §failed}]\n", "workflow.type", "{as: failed"},
    {HEAD "steps: [{id: a, stop: {as: §fail}}]\n", "step.stop", "succeeded, failed or skipped"},
    {HEAD "steps: [{id: a, stop: {message: §7}}]\n", "workflow.type", "must be a text"},
    {HEAD "steps: [{id: a, stop: {§why: x}}]\n", "workflow.unknown_key", "'why'"},
    {HEAD "steps: [{id: a, stop: {message: \"${{ steps.§b.x }}\"}}]\n", "expr.unknown_step", "above"},
    {HEAD "steps: [{id: a, stop: {}, with: §{}}]\n", "step.with", "not with `stop`"},
    {HEAD "steps: [{id: a, stop: {}, outputs: §{}}]\n", "step.outputs", "nothing can read"},
    {HEAD "defaults: §5s\nsteps: [{id: a, set: {}}]\n", "workflow.type", "defaults must be a map"},
    {HEAD "defaults: {retry: {delay: §x}}\nsteps: [{id: a, set: {}}]\n", "retry.duration", "delay"},
    {HEAD "steps: [{id: a, lua: return 1, heartbeat: §soon}]\n", "step.heartbeat", "30s"},
    {HEAD "steps: [{id: a, lua: return 1, heartbeat: §0s}]\n", "step.heartbeat", "30s"},
    {HEAD "steps: [{id: a, lua: return 1, heartbeat: §30}]\n", "step.heartbeat", "30s"},
    {HEAD "steps: [{id: a, lua: return 1, timeout: 24h, heartbeat: §25h}]\n", "step.heartbeat", "at most 24h"},
    {HEAD "steps: [{id: a, lua: return 1, timeout: 30s, heartbeat: §30s}]\n", "step.heartbeat", "a longer one"},
    {HEAD "defaults: {timeout: 10s}\nsteps: [{id: a, lua: return 1, heartbeat: §30s}]\n", "step.heartbeat", "a longer one"},
    {HEAD "steps: [{id: a, sleep: 5m, heartbeat: §30s}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, uses: workflow/b, heartbeat: §30s}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, foreach: [1], §heartbeat: 30s, steps: [{id: b, set: {}}]}]\n", "step.foreach", "at the steps inside"},
    {HEAD "defaults: {timeout: §0s}\nsteps: [{id: a, set: {}}]\n", "step.timeout", "500ms"},
    {HEAD "defaults: {limit: §[llm]}\nsteps: [{id: a, set: {}}]\n", "step.limit", "name of a limit in bellwire.yaml"},
    {HEAD "steps: [{id: a, lua: return 1, limit: §LLM}]\n", "step.limit", "name of a limit"},
    {HEAD "steps: [{id: a, lua: return 1, limit: §\"${{ event.name }}\"}]\n", "step.limit", "`key` and `cost` may be expressions"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: §7}}]\n", "step.limit", "does not name a limit"},
    {HEAD "steps: [{id: a, lua: return 1, limit: §{key: x}}]\n", "step.limit", "has no name"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: llm, §costs: 2}}]\n", "workflow.unknown_key", "did you mean 'cost'?"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: llm, cost: §-1}}]\n", "step.limit", "at least 0"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: llm, cost: §many}}]\n", "step.limit", "a number"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: llm, key: §[1]}}]\n", "step.limit", "a text or a number"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: llm, key: §\"\"}}]\n", "step.limit", "a text or a number"},
    {HEAD "steps: [{id: a, lua: return 1, limit: {name: llm, key: \"${{ steps.§b.x }}\"}}]\n", "expr.unknown_step", "above"},
    {HEAD "secrets: [A]\nsteps: [{id: a, lua: return 1, limit: {name: llm, key: \"${{ §secrets.A }}\"}}]\n", "expr.secret", "`with`"},
    {HEAD "steps: [{id: a, set: {}, limit: §llm}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, uses: workflow/b, limit: §llm}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, set: {}, sensitive: §1}]\n", "step.sensitive", "write true or false"},
    {HEAD "steps: [{id: a, emit: {event: a}, sensitive: §true}]\n", "step.sensitive", "not with `emit`"},
    {HEAD "steps: [{id: a, stop: {}, sensitive: §true}]\n", "step.sensitive", "not with `stop`"},
    {HEAD "steps: [{if: true, §sensitive: true, steps: [{id: a, set: {}}]}]\n", "step.block", "sensitive"},
    {HEAD "steps: [{id: a, lua: ctx.log(1), guarantee: §exactly_once}]\n", "step.guarantee", "at_most_once"},
    {HEAD "steps: [{id: a, lua: ctx.log(1), effect: §[read]}]\n", "step.effect", "none, read or write"},
    {HEAD "steps: [{id: a, uses: a/b@1, guarantee: at_most_once, effect: §read}]\n", "step.guarantee", "leave at_most_once out"},
    {HEAD "steps: [{id: a, uses: a/b@1, guarantee: at_most_once, effect: §none}]\n", "step.guarantee", "leave at_most_once out"},
    {HEAD "steps: [{id: a, lua: return 1, guarantee: §at_most_once}]\n", "step.guarantee", "only code that uses `ctx`"},
    {HEAD "steps: [{id: a, uses: a/b@1, guarantee: at_most_once, repeat: §{until: true}}]\n", "step.guarantee", "cannot be repeated"},
    {HEAD "steps: [{id: a, set: {}, guarantee: §at_most_once}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, sleep: 5s, effect: §read}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, uses: workflow/b, guarantee: §at_most_once}]\n", "step.no_attempts", "`uses` or `lua`"},
    {HEAD "steps: [{id: a, foreach: [1], §guarantee: at_most_once, steps: [{id: b, set: {}}]}]\n", "step.foreach", "at the steps inside"},
    {HEAD "steps: [{id: a, uses: a/b@1, undo: {uses: a/c@1, §guarantee: at_most_once}}]\n", "step.undo", "an `undo` is one step"},
    {HEAD "steps: [{id: §a-b, set: {}}]\n", "step.id", "no -"},
    {HEAD "steps: [{id: §A, set: {}}]\n", "step.id", "a-z"},
    {HEAD "steps: [{id: §end, set: {}}]\n", "step.id", "Lua language"},
    {HEAD "steps: [{id: §7, set: {}}]\n", "step.id", "beginning with a letter"},
    {STEPS "  - {id: §one, set: {}}\n", "step.same_id", "used twice (line 4)"},
    {HEAD "steps: [{id: a, name: §1, set: {}}]\n", "workflow.type", "name must be a string"},
    {HEAD "steps: [{id: a, uses: §http/request}]\n", "step.uses", "http/request@1"},
    {HEAD "steps: [{id: a, uses: §http@1}]\n", "step.uses", "NAMESPACE/NAME@MAJOR"},
    {HEAD "steps: [{id: a, uses: §http/request@01}]\n", "step.uses", "http/request@1"},
    {HEAD "steps: [{id: a, uses: §http/request@1000000}]\n", "step.uses", "http/request@1"},
    {HEAD "steps: [{id: a, uses: §HTTP/request@1}]\n", "step.uses", "http/request@1"},
    {HEAD "steps: [{id: a, uses: §workflow/other@1}]\n", "step.uses", "no name of a workflow"},
    {HEAD "steps: [{id: a, uses: a/b@1, with: §[]}]\n", "workflow.type", "with must be a map"},
    {HEAD "steps: [{id: a, set: §[]}]\n", "workflow.type", "set must be a map"},
    {HEAD "steps: [{id: a, lua: §\" \"}]\n", "workflow.type", "an empty text"},
    {HEAD "steps: [{id: a, lua: §[]}]\n", "workflow.type", "must be Lua code"},
    {HEAD "steps: [{id: a, lua: \"return §${{ event.name }}\"}]\n", "lua.expression", "input.NAME"},
    {HEAD "steps: [{id: a, lua: return 1, timeout: §30}]\n", "step.timeout", "30s"},
    {HEAD "steps: [{id: a, lua: return 1, timeout: §0s}]\n", "step.timeout", "30s"},
    {HEAD "steps: [{id: a, lua: return 1, timeout: §25h}]\n", "step.timeout", "at most 24h"},
    {HEAD "steps: [{id: a, lua: return 1, timeout: §5s1m}]\n", "step.timeout", "1h30m"},
    {HEAD "steps: [{id: a, lua: return 1, outputs: §x}]\n", "workflow.type", "outputs must be a map"},
    /* expressions */
    {HEAD "steps: [{id: a, if: §[], set: {}}]\n", "expr.type", "found a list"},
    {HEAD "steps: [{id: a, if: \"${{§ }}\", set: {}}]\n", "expr.empty", "write an expression"},
    {HEAD "steps: [{id: a, set: {b: \"x §${{ y \"}}]\n", "expr.unclosed", "close it with }}"},
    {HEAD "steps: [{id: a, set: {b: \"§${{ 'y }}\"}}]\n", "expr.unclosed", "not closed, so the }} belongs to that"},
    {HEAD "steps: [{id: a, if: \"${{ a }} §and b\", set: {}}]\n", "expr.mixed", "write one expression"},
    {HEAD "steps: [{id: a, if: \"a and §${{ b }}\", set: {}}]\n", "expr.mixed", "write one expression"},
    /* the only expression of the file: there is no other one that could be taken for it */
    {HEAD "steps: [{switch: \"${{ event.a }} §b\", cases: {x: [{id: a, set: {}}]}}]\n", "expr.mixed", "write one expression"},
    {HEAD "steps: [{id: f, foreach: \"${{ event.a }} §b\", steps: [{id: a, set: {}}]}]\n", "expr.mixed", "write one expression"},
    {HEAD "steps: [{id: a, set: {\"§${{ b }}\": 1}}]\n", "expr.misplaced", "a key cannot hold"},
    /* references */
    {STEPS "  - {id: two, set: {b: \"${{ steps.§oen.a }}\"}}\n", "expr.unknown_step", "did you mean 'one'?"},
    {STEPS "  - {id: two, set: {b: \"${{ steps['§oen'].a }}\"}}\n", "expr.unknown_step", "did you mean 'one'?"},
    {STEPS "  - {id: two, set: {b: \"${{ ok('§oen') }}\"}}\n", "expr.unknown_step", "did you mean 'one'?"},
    {STEPS "  - {id: two, set: {b: \"${{ status '§three' }}\"}}\n", "expr.unknown_step", "'three'"},
    {STEPS "  - {id: two, set: {b: \"${{ steps.§two.a }}\"}}\n", "expr.step_order", "steps above it"},
    {STEPS "  - {id: two, if: \"steps.§three.a\", set: {}}\n  - {id: three, set: {}}\n", "expr.step_order", "may not have ended yet"},
    {STEPS "outputs: {x: \"${{ steps.§oen.a }}\"}\n", "expr.unknown_step", "did you mean 'one'?"},
    {HEAD "secrets: [A]\nsteps: [{id: a, lua: return 1, with: {t: \"${{ secrets.§B }}\"}}]\n", "expr.secret_not_granted", "secrets: [B]"},
    {HEAD "secrets: [A]\nsteps: [{id: a, set: {t: \"${{ §secrets.A }}\"}}]\n", "expr.secret", "`with` of a step"},
    {HEAD "secrets: [A]\nsteps: [{id: a, if: §secrets.A == 'x', set: {}}]\n", "expr.secret", "`with` of a step"},
    {HEAD "secrets: [A]\nsteps: [{id: a, set: {}}]\noutputs: {x: \"${{ §secrets['A'] }}\"}\n", "expr.secret", "`with` of a step"},
    {HEAD "secrets: [A]\nsteps: [{id: a, lua: return 1, with: {t: \"${{ §secrets.A == 'x' }}\"}}]\n", "expr.secret", "not compared"},
    {HEAD "secrets: [A]\nsteps: [{id: a, lua: return 1, with: {t: \"${{ 'x' != §secrets['A'] }}\"}}]\n", "expr.secret", "not compared"},
    {HEAD "secrets: [A]\nsteps: [{id: a, lua: return 1, with: {t: \"${{ nil ~= §secrets.A }}\"}}]\n", "expr.secret", "not compared"},
    /* names */
    {HEAD "steps: [{id: a, set: {b: \"${{ §evnt.data }}\"}}]\n", "expr.unknown_name", "did you mean 'event'?"},
    {HEAD "steps: [{id: a, set: {b: \"${{ len(§filtr(event.data.l, function(x) return x.n end)) }}\"}}]\n", "expr.unknown_name",
     "did you mean 'filter'?"},
    {HEAD "steps: [{id: a, lua: return 1, with: {t: \"${{ §os.time() }}\"}}]\n", "expr.unknown_name", "'os'"},
    {HEAD "steps: [{id: a, if: §foo == 1, set: {}}]\n", "expr.unknown_name", "'foo'"},
    {HEAD "secrets: [A]\nsteps: [{id: a, set: {b: \"${{ (function() local s, secrets = §secrets.A return s end)() }}\"}}]\n", "expr.secret",
     "`with`"},
    {HEAD "steps: [{id: a, set: {b: \"${{ map({1}, function(config) return §config.A end) }}\"}}]\n", "expr.config", "`with`"},
    {HEAD "steps: [{id: a, set: {b: \"${{ §item.x }}\"}}]\n", "expr.unknown_name", "inside of a `foreach`"},
    {HEAD "steps: [{id: a, foreach: [1], as: page, steps: [{id: b, set: {}}]}, {id: c, set: {x: \"${{ §page }}\"}}]\n", "expr.unknown_name",
     "'page'"},
    {HEAD "steps: [{id: a, foreach: \"${{ §page }}\", as: page, steps: [{id: b, set: {}}]}]\n", "expr.unknown_name", "'page'"},
    {"name: t\non: [{event: a.b, if: §data.n > 1}]\nsteps: [{id: a, set: {}}]\n", "expr.unknown_name", "'data'"},
    {HEAD "concurrency: {key: §inputs_.a}\nsteps: [{id: a, set: {}}]\n", "expr.unknown_name", "did you mean 'inputs'?"},
    {HEAD "steps: [{id: a, set: {}}]\noutputs: {x: \"${{ §step.a }}\"}\n", "expr.step_name", "steps.ID"},
    {HEAD "steps: [{id: a, set: {b: \"${{ event.§dta.x }}\"}}]\n", "expr.unknown_field", "did you mean 'data'?"},
    {HEAD "steps: [{id: a, set: {b: \"${{ event['§body'].x }}\"}}]\n", "expr.unknown_field", "event.data"},
    {HEAD "steps: [{id: a, set: {b: \"${{ workflow.§version }}\"}}]\n", "expr.unknown_field", "only a name"},
    {HEAD "steps: [{id: a, set: {b: \"${{ run.§uid }}\"}}]\n", "expr.unknown_field", "did you mean 'id'?"},
    {HEAD "steps: [{id: a, lua: return 1, with: {b: \"${{ step.§id }}\"}}]\n", "expr.unknown_field", "only a key"},
    {HEAD "steps: [{id: a, set: {b: \"${{ §result.x }}\"}}]\n", "expr.result_name", "steps.ID"},
    {HEAD "steps: [{id: a, lua: return 1, if: §result.x, outputs: {x: \"${{ result.x }}\"}}]\n", "expr.result_name", "`until`"},
};

/* Takes the '§' out; its place is *mark. */
static void unmark(const char *sample, char *text, size_t size, struct bw_mark *mark)
{
    const char *sign = strstr(sample, "§");
    assert_non_null(sign);
    assert_true(strlen(sample) < size);
    *mark = (struct bw_mark){1, 1};
    for (const char *at = sample; at < sign; at++) {
        if (*at == '\n') *mark = (struct bw_mark){mark->line + 1, 0};
        mark->column++;
    }
    memcpy(text, sample, (size_t)(sign - sample));
    strcpy(text + (sign - sample), sign + strlen("§"));
}

static void test_every_fault_has_its_code_place_and_next_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const struct refusal *refusal = &refusals[i];
        char text[1000];
        struct bw_mark mark;
        unmark(refusal->text, text, sizeof text, &mark);
        struct loaded loaded = load_text(text);
        const struct bw_error *err = loaded.errs.items;
        if (!loaded.errs.count || loaded.count) fail_msg("this must be refused:\n%s", text);
        if (strcmp(err->code, refusal->code) || err->line != mark.line || err->column != mark.column || strcmp(err->file, "test.yaml") ||
            (!strstr(err->message, refusal->part) && !strstr(err->hint, refusal->part)))
            fail_msg("%s\nis refused as %s at %d:%d: %s (%s),\nnot as %s at %d:%d: %s", text, err->code, err->line, err->column, err->message,
                     err->hint, refusal->code, mark.line, mark.column, refusal->part);
        unload(&loaded);
    }
}

static void test_a_trigger_can_read_no_step(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: t\non: [{event: a.b, if: \"${{ steps.one.a }}\"}]\nsteps: [{id: one, set: {}}]\n");
    assert_int_equal(loaded.errs.count, 1);
    assert_error(&loaded.errs, 0, "expr.step_order", 2, 34);
    unload(&loaded);
}

static void test_one_go_reports_every_fault(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: T\n"
                                     "on: [{evnt: a}]\n"
                                     "secrets: [A, A]\n"
                                     "steps:\n"
                                     "  - {id: one, lua: 'return 1', timout: 5s}\n"
                                     "  - {id: two, set: {a: \"${{ steps.oen.x }}\"}}\n");
    static const char *const codes[] = {"workflow.name", "workflow.secret",      "workflow.unknown_key",
                                        "trigger.kind",  "workflow.unknown_key", "expr.unknown_step"};
    assert_int_equal(loaded.count, 0);
    assert_int_equal(loaded.errs.count, COUNT(codes));
    for (size_t i = 0; i < COUNT(codes); i++) assert_string_equal(loaded.errs.items[i].code, codes[i]);
    unload(&loaded);
}

static void test_good_documents_of_a_file_with_a_bad_one_are_loaded(void **state)
{
    (void)state;
    struct loaded loaded =
        load_text(STEPS "---\nname: bad\non: []\nsteps: []\n---\nname: u\non: [{event: a}]\nsteps: [{id: a, lua: return 1}]\n---\n");
    assert_int_equal(loaded.count, 2);
    assert_slice(loaded.workflows[0]->name, "t");
    assert_slice(loaded.workflows[1]->name, "u");
    assert_int_equal(loaded.errs.count, 2);
    assert_error(&loaded.errs, 0, "workflow.type", 7, 5);
    unload(&loaded);
}

static void note_refused(void *arg, struct bw_slice name, const struct bw_error *why)
{
    bw_buf_printf(arg, "%.*s %s %d;", (int)name.len, name.ptr, why->code, why->line);
}

static void test_what_is_left_out_is_told_with_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *told;
    } files[] = {
        {"name: good\non: [{manual}]\nsteps: [{id: a, set: {}}]\n", ""},
        {"name: good\non: [{manual}]\nsteps: [{id: a, set: {}}]\n---\nname: bad\non: [{manual}]\nstep: []\n---\non: [{manual}]\nsteps: []\n",
         "bad workflow.unknown_key 7; workflow.missing_key 9;"},
        {"name: bad\n on: {\n", " yaml.syntax 2;"},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        struct loaded loaded = {0};
        struct bw_buf told = {0};
        loaded.count = bw_workflow_load_all(bw_slice_of(files[i].yaml), "test.yaml", &loaded.workflows, &loaded.errs, note_refused, &told);
        assert_string_equal(told.len ? told.data : "", files[i].told);
        bw_buf_free(&told);
        unload(&loaded);
    }
}

static void test_fields_that_a_step_never_gives_are_doubted_in_their_order(void **state)
{
    (void)state;
    static const char *const hints[] = {"did you mean 'pieces'?", "give it a value there, or leave it out here", "did you mean 'arm'?",
                                        "did you mean 'failed_keys'?", "did you mean 'named'?"};
    struct bw_errors doubts = {0};
    struct loaded loaded =
        load_text("name: w\non: [{manual}]\nsteps:\n"
                  "  - {id: a, set: {pieces: 3, name: \"${{ event.name }}\"}}\n"
                  "  - {id: b, wait: {event: x.y, timeout: 1h}}\n"
                  "  - {id: c, foreach: [1], steps: [{id: d, set: {}}]}\n"
                  "  - {id: e, lua: \"return {}\", outputs: {named: \"${{ result.any }}\"}}\n"
                  "  - {id: f, lua: \"return {}\"}\n"
                  "  - id: g\n    set:\n"
                  "      good: \"${{ steps.a.pieces + steps.b.arm + steps.c.total + steps.e.named + steps.f.any + steps.a['name'] }}\"\n"
                  "      bad: \"${{ steps.a.peices }} ${{ steps.a.x }} ${{ steps['b'].arms }} ${{ steps.c['failed_key'] }}\"\n"
                  "outputs: {x: \"${{ steps.e.nmed }}\"}\n");
    const struct bw_workflow *workflow = only(&loaded);
    bw_workflow_doubts(workflow, &doubts);
    assert_int_equal(doubts.count, COUNT(hints));
    for (size_t i = 0; i < COUNT(hints); i++) {
        assert_string_equal(doubts.items[i].code, "expr.missing_field");
        assert_string_equal(doubts.items[i].hint, hints[i]);
        assert_int_equal(doubts.items[i].line, i < 4 ? 12 : 13);
    }
    assert_int_equal(doubts.items[0].column, 25);
    assert_string_equal(doubts.items[0].message, "the step 'a' gives no 'peices': it is nil here");
    bw_errors_free(&doubts);
    unload(&loaded);
}

static void test_everything_that_is_written_arrives_in_the_model(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: full-1\n"
                                     "description: \"says: everything\"\n"
                                     "on:\n"
                                     "  - {event: github.push, if: event.data.ref != 'x'}\n"
                                     "  - {event: \"shop.**\"}\n"
                                     "  - {manual}\n"
                                     "vars: {limit: 3, list: [1, two, null], deep: {a: 1.5}}\n"
                                     "secrets: [API_KEY, b]\n"
                                     "steps:\n"
                                     "  - id: greet\n"
                                     "    name: Say hello\n"
                                     "    if: ${{ event.data.n > 1 && !false }}\n"
                                     "    uses: http/request@12\n"
                                     "    with: {url: \"https://x/${{ event.id }}\", key: \"${{ secrets.API_KEY }}\", n: 1, l: [\"${{ 1 }}\", 2]}\n"
                                     "    timeout: 1h30m\n"
                                     "    outputs: {code: \"${{ result.status }}\"}\n"
                                     "  - id: code\n"
                                     "    lua: return {}\n"
                                     "  - {id: sum, set: {a: 1}}\n"
                                     "outputs: {code: \"${{ steps.greet.code }}\", ok: \"${{ ok('greet') }}\"}\n");
    const struct bw_workflow *workflow = only(&loaded);
    assert_slice(workflow->name, "full-1");
    assert_slice(workflow->description, "says: everything");
    assert_slice(workflow->file, "test.yaml");
    assert_int_equal(workflow->trigger_count, 3);
    assert_slice(workflow->triggers[0].event, "github.push");
    assert_slice(workflow->exprs[workflow->triggers[0].condition].source, "event.data.ref ~= 'x'");
    assert_true(workflow->exprs[workflow->triggers[0].condition].is_condition);
    assert_int_equal(workflow->triggers[1].condition, -1);
    assert_int_equal(workflow->triggers[2].kind, BW_TRIGGER_MANUAL);
    assert_slice(workflow->vars, "{\"limit\":3,\"list\":[1,\"two\",null],\"deep\":{\"a\":1.5}}");
    assert_int_equal(workflow->secret_count, 2);
    assert_slice(workflow->secrets[1], "b");
    assert_int_equal(workflow->step_count, 3);
    const struct bw_step *step = &workflow->steps[0];
    assert_int_equal(step->kind, BW_STEP_USES);
    assert_slice(step->id, "greet");
    assert_slice(step->name, "Say hello");
    assert_slice(workflow->exprs[step->condition].source, "event.data.n > 1 and not false");
    assert_slice(step->action, "http/request");
    assert_int_equal(step->major, 12);
    assert_int_equal(step->timeout_ms, 5400000);
    assert_int_equal(step->with->kind, BW_TEMPLATE_MAP);
    assert_int_equal(step->with->count, 4);
    assert_int_equal(step->with->items[0]->kind, BW_TEMPLATE_TEXT);
    assert_int_equal(step->with->items[0]->count, 2);
    assert_slice(step->with->items[0]->pieces[0].text, "https://x/");
    assert_int_equal(step->with->items[1]->kind, BW_TEMPLATE_EXPR);
    assert_int_equal(step->with->items[2]->kind, BW_TEMPLATE_CONST);
    assert_slice(step->with->items[2]->json, "1");
    assert_int_equal(step->with->items[3]->kind, BW_TEMPLATE_LIST);
    assert_int_equal(workflow->steps[1].kind, BW_STEP_LUA);
    assert_slice(workflow->steps[1].lua, "return {}");
    assert_int_equal(workflow->steps[1].timeout_ms, 0);
    assert_int_equal(workflow->steps[2].kind, BW_STEP_SET);
    assert_int_equal(workflow->steps[2].set->kind, BW_TEMPLATE_CONST); /* folded: nothing to evaluate */
    assert_slice(workflow->steps[2].set->json, "{\"a\":1}");
    assert_int_equal(workflow->outputs->count, 2);
    unload(&loaded);
}

static void test_a_limit_comes_from_the_step_or_the_defaults(void **state)
{
    (void)state;
    struct loaded loaded = load_text(HEAD "defaults: {limit: {name: crm, key: \"${{ event.data.account }}\"}}\n"
                                          "steps:\n"
                                          "  - {id: a, lua: return ctx.attempt}\n"
                                          "  - {id: b, uses: x/y@1, limit: {name: llm, cost: 2.5}}\n"
                                          "  - {id: c, uses: x/y@1, limit: none}\n"
                                          "  - {id: d, lua: return 1}\n"
                                          "  - {id: e, set: {}}\n");
    const struct bw_step *steps = only(&loaded)->steps;
    assert_slice(steps[0].limit.name, "crm");
    assert_true(steps[0].limit.has_key && !steps[0].limit.has_cost);
    assert_mark(steps[0].limit.mark, 3, 26);
    assert_slice(steps[1].limit.name, "llm");
    assert_true(!steps[1].limit.has_key && steps[1].limit.has_cost);
    assert_slice(steps[1].limit.measures->json, "{\"cost\":2.5}");
    assert_slice(steps[2].limit.name, "none");
    assert_int_equal(steps[3].limit.name.len + steps[4].limit.name.len, 0); /* pure code calls nobody; a `set` neither */
    unload(&loaded);
}

static void test_near_misses_are_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        HEAD "steps: [{id: a, set: {}}]\n",
        HEAD "steps: [{id: a, lua: return 1, timeout: 24h}]\n",
        HEAD "steps: [{id: a, lua: return 1, timeout: 1ms}]\n",
        HEAD "steps: [{id: a, uses: a-b_1/c@0}]\n",
        HEAD "steps: [{id: a, uses: a/b@999999}]\n",
        HEAD "steps: [{id: ends, set: {}}]\n",
        HEAD "steps: [{id: a, if: true, set: {}}]\n",
        HEAD "steps: [{id: a, if: \"'${{' == null\", set: {}}]\n", /* in a string it opens nothing */
        HEAD "steps: [{id: a, set: {b: \"${{ '}}' }}\", c: \"${{ {a = {1}} }}\", d: \"$ {{ x }}\"}}]\n",
        HEAD "steps: [{id: a, set: {b: \"${{ event.data.steps.nobody }}\"}}]\n", /* a field called steps is no step */
        HEAD "steps: [{id: a, set: {b: \"${{ {error = 1, approval = 2, result = 3, nobody = 4} }}\"}}]\n",
        HEAD "steps: [{id: a, set: {b: \"${{ map(event.data.l, function(error, event) local r, s <const> = event.nobody return {error, r, s} end) "
             "}}\"}}]\n",
        HEAD "steps: [{id: a, set: {b: \"${{ (function() local n = 0 for i, v in ipairs(event.data.l) do n = n + v + i end return n end)() }}\"}}]\n",
        HEAD "steps: [{id: a, set: {b: \"${{ 0x1F + 1e5 + 2.5e-3 + 0xA.8p1 .. ('x'):rep(3) .. string.char(65) }}\"}}]\n",
        HEAD "steps: [{id: a, foreach: [[1]], as: row, key: \"row[1] + index\", steps: [{id: b, foreach: \"${{ row }}\", as: cell, steps: [\n"
             "  {id: c, set: {x: \"${{ row[1] + cell + item + index }}\"}}]}]}]\n",
        HEAD "steps: [{id: a, lua: return 1, outputs: {x: \"${{ result.x }}\"}, repeat: {until: result.done}, undo: {lua: return 1, if: result.x, "
             "with: {y: "
             "\"${{ result.x }}\"}}}]\n",
        HEAD "steps: [{id: a, wait: {event: x.y, if: result.event.data.n > 1}}]\n",
        HEAD "secrets: [A]\nsteps: [{id: a, lua: return 1, with: {t: \"${{ event.data.n == 1 and secrets.A }}\"}}]\n",
        HEAD "steps: [{id: a, set: {b: \"${{ steps[event.data.which] }}\"}}]\n", /* computed: known only at run */
        HEAD "steps: [{id: a, set: {b: \"${{ 'steps.nobody' }} -- ${{ 1 --[[ steps.nobody ]] }}\"}}]\n",
        STEPS "  - {id: two, outputs: {x: \"${{ steps.one.a }}\"}, lua: return 1}\n",
        "name: t\non: [{event: \"*\"}, {event: \"**\"}, {event: \"a.*\"}, {event: \"a*b.c\"}]\nsteps: [{id: a, set: {}}]\n",
        "name: t\non: [{event: a, if: false}]\nsteps: [{id: a, set: {}}]\n",
        HEAD "rate: {limit: 1/1d, burst: 366, key: event.data.a, over: skip}\nsteps: [{id: a, set: {}}]\n",
        HEAD "collect: {quiet: 2m, max_wait: 2m, max_events: 1, key: event.data.a}\nsteps: [{id: a, set: {n: len(events), events: 3}}]\n",
        HEAD "collect: {max_wait: 366d, max_events: 1000}\nsteps: [{id: a, set: {n: \"${{ len({events = 3}) + #events }}\"}}]\n",
        HEAD "rate: {limit: 10000/1s}\ndelay: 366d\nsteps: [{id: a, set: {}}]\n",
        HEAD "delay: \"${{ event.data.n }}m\"\nstart_within: 1s\nsteps: [{id: a, set: {}}]\n",
        HEAD "concurrency: {on_failed: hold}\npriority: -3600\nsteps: [{id: a, set: {}}]\n",
        HEAD "concurrency: {}\npriority: event.data.n\nsteps: [{id: a, set: {}}]\n",
        HEAD "vars: {}\nsecrets: []\noutputs: {}\nsteps: [{id: a, set: {}}]\n",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct loaded loaded = load_text(good[i]);
        if (loaded.errs.count) fail_msg("%s\nis refused: %s", good[i], loaded.errs.items[0].message);
        only(&loaded);
        unload(&loaded);
    }
}

/* A parameter that is called like what every expression knows hides it in its function only. */
static void test_what_a_parameter_hides_is_read_elsewhere(void **state)
{
    (void)state;
    static const char *const read[] = {
        "steps.pre.x .. join(map(event.data.l, function(steps) return steps.y end))",
        "{ok('pre'), map(event.data.l, function(ok) return ok end)}",
        "{status('pre'), map(event.data.l, function(status) return status end)}",
        "{err('pre'), map(event.data.l, function(err) return err end)}",
    };
    char text[600];
    for (size_t i = 0; i < COUNT(read); i++) {
        snprintf(text, sizeof text,
                 HEAD "steps: [{id: pre, set: {x: 1}}, {id: fan, foreach: [1], steps: [{id: b, set: {x: \"${{ %s }}\"}}]},\n"
                      "  {id: post, set: {}}]\n",
                 read[i]);
        struct loaded loaded = load_text(text);
        if (loaded.errs.count) fail_msg("%s\nis refused: %s", text, loaded.errs.items[0].message);
        const struct bw_workflow *workflow = only(&loaded);
        assert_true(workflow->steps[1].reads[0]);
        assert_false(workflow->steps[1].reads[3]);
        unload(&loaded);
    }
    struct loaded events = load_text(HEAD "collect: {quiet: 2m}\nsteps: [{id: fan, foreach: [1], steps: [\n"
                                          "  {id: b, set: {x: \"${{ {events, map(event.data.l, function(events) return events end)} }}\"}}]}]\n");
    assert_true(only(&events)->reads_events && only(&events)->steps[0].reads_events);
    unload(&events);
}

/* ---- limits: the last that is taken and the first that is not ---- */

static struct loaded load_steps(size_t count)
{
    struct bw_buf text = {0};
    bw_buf_append_text(&text, HEAD "steps:\n");
    for (size_t i = 0; i < count; i++) bw_buf_printf(&text, "  - {id: s%zu, set: {}}\n", i);
    struct loaded loaded = load_text(text.data);
    bw_buf_free(&text);
    return loaded;
}

static void test_a_workflow_has_at_most_500_steps(void **state)
{
    (void)state;
    struct loaded good = load_steps(BW_WORKFLOW_STEPS_MAX), bad = load_steps(BW_WORKFLOW_STEPS_MAX + 1);
    assert_int_equal(only(&good)->step_count, 500);
    assert_int_equal(bad.count, 0);
    assert_error(&bad.errs, 0, "workflow.too_many_steps", 4, 3);
    unload(&good);
    unload(&bad);
}

static void test_names_have_at_most_64_characters(void **state)
{
    (void)state;
    for (int len = 64; len <= 65; len++) {
        char letters[66] = "", text[300];
        memset(letters, 'a', (size_t)len);
        snprintf(text, sizeof text, "name: %s\non: [{manual: true}]\nsteps: [{id: a, set: {}}]\n", letters);
        struct loaded workflow = load_text(text);
        snprintf(text, sizeof text, HEAD "steps: [{id: %s, set: {}}]\n", letters);
        struct loaded step = load_text(text);
        assert_int_equal(workflow.count, len == 64);
        assert_int_equal(step.count, len == 64);
        if (len == 65) {
            assert_error(&workflow.errs, 0, "workflow.name", 1, 7);
            assert_error(&step.errs, 0, "step.id", 3, 14);
        }
        unload(&workflow);
        unload(&step);
    }
}

static void test_a_file_has_at_most_256_kib(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        struct bw_buf text = {0};
        bw_buf_append_text(&text, HEAD "steps: [{id: a, set: {}}]\n#");
        while (text.len < (256 << 10) + over) bw_buf_append_char(&text, 'x');
        struct loaded loaded = load_text(text.data);
        assert_int_equal(loaded.count, !over);
        if (over) assert_string_equal(loaded.errs.items[0].code, "yaml.too_large");
        unload(&loaded);
        bw_buf_free(&text);
    }
}

static void test_nesting_ends_at_64(void **state)
{
    (void)state;
    for (int depth = 40; depth <= 80; depth += 40) {
        struct bw_buf text = {0};
        bw_buf_append_text(&text, HEAD "steps: [{id: a, set: {a: ");
        for (int i = 0; i < depth; i++) bw_buf_append_char(&text, '[');
        for (int i = 0; i < depth; i++) bw_buf_append_char(&text, ']');
        bw_buf_append_text(&text, "}}]\n");
        struct loaded loaded = load_text(text.data);
        assert_int_equal(loaded.count, depth == 40);
        if (depth == 80) assert_string_equal(loaded.errs.items[0].code, "yaml.too_deep");
        unload(&loaded);
        bw_buf_free(&text);
    }
}

static void test_the_list_of_errors_ends_at_200(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    bw_buf_append_text(&text, HEAD "steps:\n");
    for (int i = 0; i < 300; i++) bw_buf_printf(&text, "  - {id: s%d}\n", i);
    struct loaded loaded = load_text(text.data);
    assert_int_equal(loaded.count, 0);
    assert_true(loaded.errs.count <= BW_ERRORS_MAX + 1 && loaded.errs.dropped > 0);
    unload(&loaded);
    bw_buf_free(&text);
}

static void test_labels_and_ages_are_read(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: t\non: [{manual: true}]\nlabels: {team: billing, acme.com/tier: '1'}\n"
                                     "retention: {ok: 36h, failed: none}\nsteps: [{id: a, lua: return 1}]\n");
    const struct bw_workflow *workflow = only(&loaded);
    assert_slice(workflow->labels, "{\"team\":\"billing\",\"acme.com/tier\":\"1\"}");
    assert_int_equal(workflow->keep_ok_ms, 36 * 3600000LL);
    assert_int_equal(workflow->keep_failed_ms, 0);
    unload(&loaded);
    loaded = load_text("name: t\non: [{manual: true}]\nlabels: {}\nretention: {ok: 1s}\nsteps: [{id: a, lua: return 1}]\n");
    assert_int_equal(only(&loaded)->labels.len, 0);
    assert_int_equal(only(&loaded)->keep_failed_ms, BW_AGE_UNSET);
    unload(&loaded);
}

static void test_wrong_labels_and_ages_are_told_with_their_place(void **state)
{
    static const struct {
        const char *line, *code;
        int column;
    } cases[] = {
        {"labels: [a]", "workflow.label", 9},
        {"labels: {a: 1}", "workflow.label", 13},
        {"labels: {a: [b]}", "workflow.label", 13},
        {"labels: {a: ''}", "workflow.label", 13},
        {"labels: {a: \"b\\n\"}", "workflow.label", 13},
        {"labels: {a=b: c}", "workflow.label", 10},
        {"labels: {-a: c}", "workflow.label", 10},
        {"labels: {a: '${{ 1 }}'}", "expr.misplaced", 14},
        {"retention: 3d", "workflow.type", 12},
        {"retention: {succeeded: 3d}", "workflow.unknown_key", 13},
        {"retention: {ok: 3 days}", "workflow.retention", 17},
        {"retention: {ok: 0s}", "workflow.retention", 17},
        {"retention: {failed: }", "workflow.retention", 21},
        {"retention: {failed: ['1d']}", "workflow.retention", 21},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        snprintf(text, sizeof text, "name: t\n%s\non: [{manual: true}]\nsteps: [{id: a, lua: return 1}]\n", cases[i].line);
        struct loaded loaded = load_text(text);
        assert_int_equal(loaded.count, 0);
        assert_error(&loaded.errs, 0, cases[i].code, 2, cases[i].column);
        unload(&loaded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault_has_its_code_place_and_next_step),
        cmocka_unit_test(test_a_trigger_can_read_no_step),
        cmocka_unit_test(test_one_go_reports_every_fault),
        cmocka_unit_test(test_good_documents_of_a_file_with_a_bad_one_are_loaded),
        cmocka_unit_test(test_what_is_left_out_is_told_with_its_name),
        cmocka_unit_test(test_fields_that_a_step_never_gives_are_doubted_in_their_order),
        cmocka_unit_test(test_everything_that_is_written_arrives_in_the_model),
        cmocka_unit_test(test_a_limit_comes_from_the_step_or_the_defaults),
        cmocka_unit_test(test_near_misses_are_accepted),
        cmocka_unit_test(test_what_a_parameter_hides_is_read_elsewhere),
        cmocka_unit_test(test_a_workflow_has_at_most_500_steps),
        cmocka_unit_test(test_names_have_at_most_64_characters),
        cmocka_unit_test(test_a_file_has_at_most_256_kib),
        cmocka_unit_test(test_nesting_ends_at_64),
        cmocka_unit_test(test_the_list_of_errors_ends_at_200),
        cmocka_unit_test(test_labels_and_ages_are_read),
        cmocka_unit_test(test_wrong_labels_and_ages_are_told_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
