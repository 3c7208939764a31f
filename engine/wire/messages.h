/* messages.h: what engine, run workers and plugin hosts say to each other. Heads are JSON objects; "part N" is the N-th raw payload of
 * the frame; a head field that ends in _part holds the index of a part. Unknown fields are ignored, unknown types close the channel.
 * Uids travel in their text form (base/id.h). Times are Unix milliseconds, durations end in _ms.
 * An ERROR object is {code, message, hint?, file?, line?, column?, class?, retry_after_ms?}; class is one of
 * transient | permanent | bug | timeout | input | output | lost; only `transient` (and `timeout` of an attempt) is tried again. */
#ifndef BW_WIRE_MESSAGES_H
#define BW_WIRE_MESSAGES_H
#define BW_HOST_FRAME_BYTES_MAX (16u << 20) /* of what a plugin host takes, and may send */
#define BW_EMIT_SOURCE "workflow/" /* and the name of the workflow: the source of an event that a run caused; no configured one has a slash */
#define BW_EMIT_DEPTH_MAX 16       /* semantics.md 2.5: events in a row of which each caused the next */
#define BW_RUN_FAILED_EVENT "bellwire.run.failed"
#define BW_CANCEL_ON_PATH "~cancel_on" /* the step that waits, as long as a run has steps, for events that cancel it */

/* The kinds of files in a catalogue revision. They are stored with it, and so for ever what they are. */
#define BW_FILE_WORKFLOW "workflow"
#define BW_FILE_ACTION "action"                   /* Lua text */
#define BW_FILE_MODULE "module"                   /* Lua text, FOLDER/lib/NAME.lua: for `require` in the actions in and below FOLDER */
#define BW_FILE_PACKAGE "package"                 /* plugin.yaml: the actions beside it are those of this plugin in Lua */
#define BW_FILE_BUNDLED_PACKAGE "bundled_package" /* the same of one that is part of Bellwire: what an instance has of its own goes before it */
#define BW_FILE_PLUGIN "plugin"                   /* the manifest JSON that a plugin's host has reported; path = the .so */
#define BW_FILE_BUNDLED_PLUGIN "bundled_plugin"

enum bw_message_type {
    /* ---- engine → run worker ---- */
    /* First message. {worker: number, lua_memory_bytes, stall_ms, max_output_bytes, max_run_output_bytes, allow_private_network: bool, trace: bool,
     *  trial?: bool: it serves `bellwire test`, limits: {NAME: the greatest cost of a step, 0 = any},
     *  pools: [NAME: of those in bellwire.yaml, the default one is not among them], hands_over: bool: it is to report runs of workflows with one of
     *  them as BLOCKED instead of executing them, approval_key?: hex, public_url?: what links to approvals are made with (approval_token.h),
     *  secrets: {NAME: value}, config: {NAME: what bellwire.yaml says}, configure: what it says of plugins (config/configure.h), log_level,
     * log_format}; trace asks for BW_MSG_TRACE. The flight page is inherited as fd 4 (wire/flight.h), the channel is fd 3. */
    BW_MSG_CONFIGURE = 1,
    /* A catalogue revision. {revision, check_only?: bool, others: {plugins: [name of a compiled one that is there, and was refused or is off],
     * unknown: bool: there are such without a name}, unconfigured: [name of a bundled plugin that
     * this instance does not have, as it does not configure it], unused: ["ns/name" of a bundled plugin in Lua that nothing of it names], files:
     * [{kind: BW_FILE_…, path, part}], refused: [ERROR of a file of it that is not among these, as loading it has ended a worker; kind]}. Answered by
     * BW_MSG_CATALOG_LOADED. A worker may hold several revisions; BW_MSG_CATALOG_DROP frees one. */
    BW_MSG_CATALOG = 2,
    BW_MSG_CATALOG_DROP = 3, /* {revision} */
    /* An accepted event: evaluate triggers under the revision, run the matching workflows.
     * {job: number to be named in reports, event: id number, uid, revision, name, source, at_ms, trusted, workflow?: "only this one, by hand",
     *  body_part, headers_part,
     *  resume?: "the workflow whose parked run goes on; no trigger is looked at",
     *  runs?: [{uid, workflow, state, woken: bool, overdue: bool, cancelled?: {reason?, by}, started_ms, lost, resumed_ms?,  what is already recorded
     * (after a crash, or of a parked run); child?: {path, parent: uid, item: number, depth, call: bool, sensitive?: bool, input_part, context_part?}
     * a step of another run has started it steps: [{path, state, attempt, started_ms, output_part?, error?, woken: it is handed out by itself;
     * children?: {total, started, succeeded, failed, state: of the last one, failed_items: [number], failed_run: uid of the first, error: ERROR of
     * that, items_part?: array of the outputs}   with a wake by them again?: true, children_total?: its run was resumed after this: begin it anew;
     * the runs that it has started stay due_ms?, wake?: {kind, arm, at_ms, event: id, choice?, by?, form?: {}, votes?: [{choice, by, at, form}]: of a
     * vote}}]}],      overdue: its deadline_ms has passed wake_events?: [{id, uid, name, source, at_ms, trusted, body_part}]        those that a wake
     * names collected?: [{uid, name, source, at_ms, trusted, body_part, headers_part}]   with `resume`: the run is made of these and, last, of this
     * event verdicts?: [{run: uid, path, error: ERROR}], a step that the engine had to end by killing the worker: it failed with this error lost?:
     * [{run: uid, path, count}]} a step that died with its worker count times; above 5 it fails with "worker_lost"
     *  suspect?: bool   it may end this worker: what `lost` names begins last
     *  condemned?: ERROR   it ends its workers, and nobody knows with which step: its runs fail with this */
    BW_MSG_EVENT = 4,
    BW_MSG_COMMITTED = 5, /* {report} the report with that number is on disk; sent for reports with ack */
    /* Outcome of BW_MSG_CALL; missing: nobody offers the action now; pending: its result will be posted to callback_url, within_ms: 0 = as long as
       the run may take. {call, outcome: "ok"|"retry"|"fail"|"missing"|"pending", within_ms?, error?: ERROR, doubtful?: its effect may have happened,
       output_part?} */
    BW_MSG_CALL_RESULT = 6,
    /* Only with `trial`. {now_ms: the time from now on, ask: number, workflow?, mocks?: {step: [{with?, output?, error?, after_ms?}]}, config?}
     * With a workflow a test begins: only that one's triggers are asked from now on, and steps get the answers of `mocks`; `config` is merged into
     * what was configured. Timers that are due are fired; then, when nothing is left to do before time passes, BW_MSG_QUIET. */
    BW_MSG_TRIAL = 16,
    BW_MSG_LOOK = 17, /* {question} answered by BW_MSG_LOOKED when all events that were sent before have been looked at */
    BW_MSG_DRAIN = 7, /* {} no event follows; the worker finishes what it has and exits 0 when the engine closes the channel */

    /* {run: uid, cancelled?: {reason?, by}} that run is to end: what is under way is given up, then come `undo` and `finally`; nothing if its steps
     * have ended, or if the worker has no such run. Without `cancelled` the run that has started it does not want it any more, and it has ended
     * already for the store: it is let go of, as it is. */
    BW_MSG_CANCEL = 9,
    /* The store has found an event for BW_CANCEL_ON_PATH of a run that is under way.
     * {run: uid, wake: {arm, at_ms, event: {id, uid, name, source, at_ms, trusted}}, body_part} */
    BW_MSG_CANCEL_EVENT = 10,
    /* A line: the worker calls the process of a plugin itself, and its results come back the same way, without the engine in between. {line:
     * number, by which its descriptor has been passed (fd 5, wire/pass.h), actions: ["ns/name" that are called there from now on], secrets: [NAME of
     * those that bellwire.yaml grants to the plugin]}. On it go BW_MSG_HOST_EXECUTE and BW_MSG_HOST_CANCEL, with the numbers of the worker, and back
     * BW_MSG_HOST_RESULT and BW_MSG_HOST_BEAT. The engine is told of them a little later: BW_MSG_CALL with the line, and BW_MSG_CALL_OVER
     * behind it. A result may come through the engine all the same: of a call that has printed or logged, so that this stands in the log with its
     * step. */
    BW_MSG_LINE = 19,
    BW_MSG_LINE_RETIRED = 20, /* {line} another process takes the calls. Answered by BW_MSG_LINE_LEFT */
    BW_MSG_LINE_ASK = 21,     /* {line} answered by BW_MSG_LINE_TOLD at once: what the engine was to be told of its calls comes before it */
    BW_MSG_PUBLIC_URL = 11,   /* {public_url} instead of the one that was configured: the port is known only now */
    BW_MSG_CALL_BEAT = 12,    /* {call} the plugin has said that it is still at work on it (`heartbeat`) */
    /* A key that senders publish: fetch it. {fetch: number, kind: "certificate"|"jwks", url, post: a JSON body to ask with, or "": GET, name: of the
     * certificate, chain: bool, at: pointer of the key in the answer, or ""}. Answered by BW_MSG_FETCHED. */
    BW_MSG_FETCH = 13,
    BW_MSG_PERMIT = 8, /* {permits: [number]} those attempts may begin */
    /* Answer to BW_MSG_USAGE_ASK. {usage, run: uid, id: of the call, on disk; or error: ERROR, nothing is written} */
    BW_MSG_USAGE = 18,
    BW_MSG_PAUSED = 14, /* {workflows: [name]} those of which no run begins by itself, instead of what was said before: it is reported as BLOCKED */
    /* {config, configure, secrets?, limits?} instead of those that were configured: bellwire.yaml was read again. Limits are added to those there are
     */
    BW_MSG_VALUES = 15,

    /* ---- run worker → engine ---- */
    BW_MSG_READY = 32, /* {pid} after BW_MSG_CONFIGURE */
    /* {revision, workflows: [{name, description, file, hash: hex, manual: bool, callable: bool, ordered: bool (its runs begin in the order of the
     * events), collects: bool, events: [glob], steps: [path], inner: [path: in a foreach, or after the end], waits: [{event, by}], respond_ms: 0 =
     * the sender does not wait for it, schedules:
     * [{cron, tz, missed: number (enum bw_missed), max_age_ms}], pool?, labels?: {NAME: text}, keep_ok_ms?, keep_failed_ms?: ages after which its
     * runs may go, 0 = never, webhook?: its trigger as it is written (base/yaml_tree.h): a source of that name, line, column, trusted_warning?:
     * […]}], actions: [{name: "ns/name@major", version, doc, file, kind: "lua"|"plugin", plugin?: its name, inputs: {…},
     * outputs: {…}, secrets: […], effect}], errors: [ERROR with file, line, column], doubts: [the same], refused: [{workflow: its name, or "" of a
     * file of which no names are known, error: ERROR, the first of it}]} a broken file is left out and named in errors; the others work.
     */
    BW_MSG_CATALOG_LOADED = 33,
    /* One transaction's worth of results of one event.
     * {report: number, job, done: bool, matched: n (with done), ack: bool (wants BW_MSG_COMMITTED),
     *  runs: [{uid, workflow, version: hex, state: number, lost, started_ms, ended_ms, output_part?, error?: ERROR,
     *          slot?: {group: hex, most, when_full: number (enum bw_when_full), max_queue, holds_parked: bool, holds_failed: bool, priority},
     *          rate?: {group: hex, count, period_ms, burst, skips: bool, most_ms}, ready_ms?, until_ms?: of a run that is BLOCKED: it is to be
     *                 admitted, collect?: {group: hex, quiet_ms, max_wait_ms, max_events}: when more events of the group are there; ready_ms and
     *                 until_ms count from then on (store.h: struct bw_slot_new, bw_start_new), and is handed out by itself when it begins,
     *          deadline_ms?: when a parked run is over, settled?: bool: its steps have ended, it has not,
     *          steps: [{path, state: number, attempt, started_ms, ended_ms, inputs: [names], sensitive?: bool, output_part?, error?: ERROR,
     *                   failures?: [{attempt, at_ms, took_ms?, error}] attempts that are tried again, since the last report,
     *                   calls?: [id] metered calls of which this row says what came of them,
     *                   respond?: {status, type, headers?: {}, part: the body} the answer to the sender, when this is on disk
     *                   emits?: [{uid, name, key?, part: its data}] events that it causes,
     *                   join?: {workflow, version: hex, total, concurrency, allowed, depth, call, detached, event: do they need its body?, events?:
     * do they need all those that the run was made of?, items_part, context_part, reopen?: true: it has started them before, see struct bw_join_new,
     * slot?, rate?, ready_ms?, until_ms?: of a called workflow, as of a run that is BLOCKED} runs that it starts (store.h): items are texts, each
     * behind four bytes of length due_ms?, since_ms?, arms?: [{key, since_event}] what ends the waiting of a step (store.h)}]}]} A one-step run is
     * one report with done. A later effect that depends on unrecorded results sends a report with ack first and waits; so does each attempt of a step
     * with at_most_once, whose state is then `started`. */
    BW_MSG_REPORT = 34,
    /* Execute a plugin's action. {call: number, action: "ns/name@major", secrets: [names], input_part, about_part} about: a JSON object for the
     * plugin, which the engine hands on as it is: {run: uid, step: path, attempt, key, timeout_ms, heartbeat_ms: 0 = it need not beat, once: bool
     * (at_most_once), callback_url?}. With `line` the worker makes it there itself, and there is an about_part alone. */
    BW_MSG_CALL = 35,
    BW_MSG_CALL_OVER = 49, /* {call, line, failed?: true: the plugin wants it tried again} its result has come on the line */
    BW_MSG_LINE_LEFT = 46, /* {line} no call follows there */
    BW_MSG_LINE_TOLD = 50, /* {line} */
    BW_MSG_LINE_LOST = 47, /* {line, why: "closed", or what was wrong with what has come} what was called there and has no result gets none there */
    /* {call, grace_ms, keep?: bool} the call is no longer wanted: the plugin is told, and its process is ended when the call is still open after
     * grace_ms. With `keep` a result that comes until then is wanted all the same. Another one about the same call can only shorten its time. */
    BW_MSG_CALL_CANCEL = 36,
    /* {level: "debug"|"info"|"warn"|"error", message, run, workflow, step} from ctx.log */
    BW_MSG_LOG = 37,
    /* For `bellwire run`: {what: "run_started"|"run_blocked": it asks for a
     * slot|"run_parked"|"run_resumed"|"step_waiting"|"step_started"|"step_retry"|"step_finished"|"run_finished", run, workflow, parent?, path?,
     * depth?, index? (of a run that a step has started), runs?: how many a step starts, step?, state?, attempt?, took_ms?, delay_ms?, limit? (that a
     * step waits for), error?: ERROR, output_part?}; run_blocked has delay_ms when it begins so much later; in a trial also "step_input": what it is
     * given, as output_part. "step_progress" has `text`: what its code says of how far it is */
    BW_MSG_TRACE = 38,

    /* An attempt waits for its turn under a named limit. {permit: number, limit, key: text or "", cost}. Answered by BW_MSG_PERMIT when it comes. */
    BW_MSG_PERMIT_ASK = 39,
    /* {permit, pause_ms?} its attempt has ended, or is not wanted any more; pause_ms: nothing begins under that limit and key for so long */
    BW_MSG_PERMIT_BACK = 40,
    /* A metered call is to be made. {usage: number, run: uid, workflow, step: path, attempt, provider, model, input_tokens?, output_tokens?, cost?:
     * what it may take at most (millionths of the currency; without it nobody knows the price), budget?: {calls?, tokens?, cost?, ms?} of the step}
     */
    BW_MSG_USAGE_ASK = 44,
    /* It has ended. {run, id, input_tokens?, output_tokens?, cached_tokens?, cost?, first_ms?, took_ms?, final?: bool: no report will name it} */
    BW_MSG_USAGE_END = 45,
    /* {event: uid, run?: uid of the one that answers the sender of the event, within_ms} no run: none does. Only for events that some workflow with
     * `respond: {mode: result}` has a trigger for; before the first report of one of its runs. */
    BW_MSG_RESPOND = 41,
    /* {fetch, good_for_ms, keys: [{id, der: base64 of a SubjectPublicKeyInfo}], error?: text} no keys: it failed */
    BW_MSG_FETCHED = 42,
    BW_MSG_LOOKED = 43, /* {question} every run of those events that asks when it may begin has been reported before this */
    BW_MSG_QUIET = 48,  /* {ask, due_ms: of the earliest timer, 0 = none} all that was sent before the BW_MSG_TRIAL has been done */

    /* ---- engine → plugin host ---- */
    /* First message. {path, is_copied: a copy of what lay there is descriptor 6, needs?: the manifest's, as far as it is known,
       allow_private_network: bool} answered by BW_MSG_HOST_MANIFEST */
    BW_MSG_HOST_LOAD = 64,
    BW_MSG_HOST_INIT = 67, /* {config: {}} what it needs is what it was started with, and this is what it is told. Answered by BW_MSG_HOST_READY */
    /* From the engine, or on a line. {call, action: "ns/name", secrets: {NAME: value}, input_part, about_part: as in BW_MSG_CALL, health?: true: how
     * is it? The action is "" then, and about has a timeout_ms alone} */
    BW_MSG_HOST_EXECUTE = 65,
    BW_MSG_HOST_CANCEL = 66, /* {call} */

    /* ---- plugin host → engine ---- */
    /* {manifest: {…}, abi, has_health: bool, open?: what of the machine could not be closed to it} the plugin is loaded. If it needs other things
     * than it was started with, the process is to be ended, and another one started with these. */
    BW_MSG_HOST_MANIFEST = 96,
    BW_MSG_HOST_READY = 101,  /* {} init() has been called */
    BW_MSG_HOST_REFUSED = 97, /* {error: ERROR} instead of either */
    /* line: of a call that was made on one, when this goes to the engine */
    BW_MSG_HOST_RESULT = 98, /* {call, line?, outcome: "ok"|"retry"|"fail"|"pending", within_ms?, error?: ERROR, output_part?} */
    BW_MSG_HOST_BEAT = 100,  /* {call} the plugin works on it; at most one in a quarter of its heartbeat_ms, or in a second */
    BW_MSG_HOST_LOG = 99,    /* {level, message, call: -1 = of none, line?} */
    /* {line, calls: [number]} its worker has gone; these calls are not over yet, and are cancelled: all others are over */
    BW_MSG_HOST_LINE_OVER = 102,
};
#endif
