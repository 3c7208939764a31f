/* The keys of the language, in one place. A key without a schema belongs to a later version. */
#include "workflow/internal.h"

#define EXPR "{\"type\":[\"string\",\"boolean\"],\"pattern\":\"\\\\S\"}"
#define TEXT "{\"type\":\"string\",\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}}"
#define MAP "{\"type\":\"object\"}"
#define DURATION "{\"type\":\"string\",\"pattern\":\"^(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?$\"}"
#define TEXT_GIVEN "{\"type\":\"string\",\"minLength\":1}"
#define SECRET                                                                                                                        \
    "{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,\"additionalProperties\":false,\"properties\":{\"env\":" TEXT_GIVEN \
    ",\"file\":" TEXT_GIVEN "}}"
#define REF_LIST "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}"
#define REFS "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"refs\"],\"properties\":{\"refs\":" REF_LIST "}}"
#define SOURCE_RATE                                                                                                                            \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"limit\"],\"properties\":{\"limit\":{\"type\":\"string\",\"pattern\":" \
    "\"^[0-9]+/[0-9]+[a-z]+\"},\"burst\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000},\"by\":{\"enum\":[\"source\",\"address\"]}}}"
#define EVENT_PART "(\\\\*|\\\\*?[^.*]+(\\\\*[^.*]+)*\\\\*?)"
#define EVENT                                                              \
    "{\"type\":\"string\",\"pattern\":\"^(" EVENT_PART "(\\\\." EVENT_PART \
    ")*(\\\\.\\\\*\\\\*)?|\\\\*\\\\*)$\",\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}}"
#define LUA_WORDS(word)                                                                                                                             \
    word("and") word("break") word("do") word("else") word("elseif") word("end") word("false") word("for") word("function") word("goto") word("if") \
        word("in") word("local") word("nil") word("not") word("or") word("repeat") word("return") word("then") word("true") word("until")
#define LIST_ITEM(word) word,
#define JSON_ITEM(word) "\"" word "\","

const char *const bw_lua_words[] = {LUA_WORDS(LIST_ITEM) "while", NULL};

#define STEPS "{\"type\":\"array\",\"minItems\":1,\"maxItems\":500,\"items\":{\"$ref\":\"#/$defs/step\"}}"
#define LIMIT "{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9-]{0,63}$\"},{\"$ref\":\"#/$defs/limit\"}]}"
#define RETRY "{\"$ref\":\"#/$defs/retry\"}"

const struct bw_load_key bw_workflow_keys[] = {
    {"name", "{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9-]*$\",\"maxLength\":64}", "unique name of the workflow"},
    {"description", TEXT, "one line for people"},
    {"on", "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/trigger\"}}", "what starts it"},
    {"vars", MAP, "constants, read as vars.NAME"},
    {"secrets", "{\"type\":\"array\",\"uniqueItems\":true,\"maxItems\":64,\"items\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]*$\"}}",
     "the only secrets that its steps may receive"},
    {"steps", STEPS, "what it does, in this order"},
    {"outputs", MAP, "the run's output, made from expressions"},
    {"labels",
     "{\"type\":\"object\",\"maxProperties\":32,\"propertyNames\":{\"pattern\":\"^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$\",\"maxLength\":63},"
     "\"additionalProperties\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}}}",
     "texts by name, by which its runs are found: bellwire runs --label team=billing"},
    {"expose", "{\"oneOf\":[{\"const\":\"mcp\"},{\"$ref\":\"#/$defs/expose\"}]}",
     "offers it as a tool of language models: mcp, or {mcp: {name, title, description}}"},
    {"inputs", "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[a-z][a-z0-9_]*$\"},\"additionalProperties\":{\"$ref\":\"#/$defs/schema\"}}",
     "what it is called with, read as inputs.NAME: a schema for each"},
    {"collect", "{\"$ref\":\"#/$defs/collect\"}", "gathers events and makes one run of them, which reads them as `events`"},
    {"rate", "{\"$ref\":\"#/$defs/rate\"}", "how many of its runs begin in a time"},
    {"concurrency", "{\"$ref\":\"#/$defs/concurrency\"}", "how many of its runs are active at a time"},
    {"priority", "{\"oneOf\":[{\"type\":\"integer\",\"minimum\":-3600,\"maximum\":3600},{\"type\":\"string\",\"pattern\":\"\\\\S\"}]}",
     "seconds of head start among the runs that wait for a slot (0)"},
    {"delay", "{\"type\":\"string\",\"pattern\":\"\\\\S\"}", "how long after its event a run begins; may hold an expression (0s)"},
    {"start_within", DURATION, "a run that has not begun so long after its event is skipped (never)"},
    {"timeout", DURATION, "how long a run may take in all, waits included (30d)"},
    {"fail_fast", "{\"type\":\"boolean\"}", "a failed step ends the steps beside it, too (false)"},
    {"undo_on", "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[\"failure\",\"cancel\"]}}",
     "when the `undo` steps are run ([failure])"},
    {"pool", "{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9-]*$\",\"maxLength\":64}",
     "the workers that execute its runs: a pool of bellwire.yaml (default)"},
    {"defaults", "{\"$ref\":\"#/$defs/defaults\"}", "for all steps that do not say otherwise"},
    {"cancel_on", "{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"$ref\":\"#/$defs/arm\"}}", "events that cancel a run"},
    {"respond", "{\"$ref\":\"#/$defs/respond_mode\"}", "whether the sender waits for the result"},
    {"on_failure", STEPS, "run when the run has failed; `error` says why"},
    {"finally", STEPS, "run at the end, however the run has ended"},
    {"retention", "{\"$ref\":\"#/$defs/retention\"}", "how long its runs are kept, instead of what bellwire.yaml says"},
};
const size_t bw_workflow_key_count = sizeof bw_workflow_keys / sizeof *bw_workflow_keys;

const struct bw_load_key bw_trigger_keys[] = {
    {"event", EVENT, "name of the event; * stands for one part, a trailing ** for the rest"},
    {"if", EXPR, "must be true for this event"},
    {"manual", "{\"enum\":[true,null]}", "may be started by hand: bellwire run NAME"},
    {"webhook", "{\"type\":\"string\",\"pattern\":\"^/[^?# %]*$\"}",
     "a path that senders post to: a source of this workflow alone, whose events are called NAME.… after the workflow"},
    {"verify", TEXT_GIVEN, "of a webhook: how its requests are verified (bellwire schemes), or none"},
    {"secrets", "{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[" SECRET ",{\"type\":\"array\",\"minItems\":1,\"items\":" SECRET "}]}}",
     "of a webhook: the secrets of its scheme by name, {env: NAME} or {file: PATH}, or a list of those (rotation)"},
    {"name", "{\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_.:-]+$\",\"maxLength\":128}," REFS "]}",
     "of a webhook: what its events are called, fixed or {refs: [header:x-event, json:/type]} (what the scheme says)"},
    {"dedupe", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"refs\":" REF_LIST ",\"window\":" DURATION "}}",
     "of a webhook: {refs: [header:x-id], window: 3d} (what the scheme says)"},
    {"max_body", "{\"type\":[\"string\",\"integer\"]}", "of a webhook: the largest body (that of the instance)"},
    {"public_url", "{\"type\":\"string\",\"pattern\":\"^https?://\"}", "of a webhook: its URL as the sender knows it, for schemes that sign it"},
    {"options", "{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}}",
     "of a webhook: parameters of the generic schemes"},
    {"schema", "{\"$ref\":\"#/$defs/schema\"}", "of a webhook: what a body must be; any other gets 422"},
    {"rate", "{\"anyOf\":[" SOURCE_RATE ",{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":" SOURCE_RATE "}]}",
     "of a webhook: how much may come, as {limit: 100/1s, burst: 200}, by source or by address; above it 429"},
    {"acknowledge",
     "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"status\":{\"type\":\"integer\",\"minimum\":200,\"maximum\":299},"
     "\"headers\":{\"type\":\"object\",\"maxProperties\":8,\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\"]}},"
     "\"body\":{\"description\":\"a text, or a map or list that is sent as JSON\"}}}",
     "of a webhook: what its sender hears when the event is on disk; default: what the scheme says, else 202"},
    {"accepts", "{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\",\"pattern\":\"^!?[^ /]+/[^ /;,]+$\"}}",
     "of a webhook: the only content types that are taken; others get 415"},
    {"batch", "{\"enum\":[\"split\",\"whole\"]}",
     "of a webhook whose scheme takes batches apart: split (each event in it is one, the default) or whole"},
    {"allow", "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\",\"pattern\":\"^[0-9A-Fa-f.:]+(/[0-9]+)?$\"}}",
     "of a webhook: the only addresses and networks that may send; others get 403"},
    {"schedule", "{\"type\":\"string\",\"pattern\":\"\\\\S\"}", "a cron rule: minute hour day month weekday, or @daily"},
    {"tz", "{\"type\":\"string\",\"pattern\":\"\\\\S\"}", "the time zone of the rule: Europe/Berlin (UTC)"},
    {"missed", "{\"enum\":[\"latest\",\"all\",\"skip\"]}", "which of the firings are made up for that came while nobody served (latest)"},
    {"max_age", DURATION, "firings that are later than that are left out (24h)"},
    {"call", "{\"enum\":[true,null]}", "may be run by other workflows: uses: workflow/NAME"},
};
const size_t bw_trigger_key_count = sizeof bw_trigger_keys / sizeof *bw_trigger_keys;

const struct bw_load_key bw_step_keys[] = {
    {"id", "{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9_]*$\",\"maxLength\":64,\"not\":{\"enum\":[" LUA_WORDS(JSON_ITEM) "\"while\"]}}",
     "its name in expressions: steps.ID"},
    {"name", TEXT, "for people"},
    {"if", EXPR, "runs only when true; skipped otherwise"},
    {"uses", "{\"type\":\"string\",\"pattern\":\"^((?!workflow/)[a-z0-9_-]+/[a-z0-9_-]+@(0|[1-9][0-9]{0,5})|workflow/[a-z][a-z0-9-]{0,63})$\"}",
     "the action: NAMESPACE/NAME@MAJOR; or another workflow: workflow/NAME"},
    {"with", MAP, "inputs of `uses` or `lua`"},
    {"lua", "{\"type\":\"string\",\"pattern\":\"\\\\S\",\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}}",
     "Lua code: gets `input` and `ctx`, returns the output"},
    {"set", MAP, "computes values, without any effect"},
    {"timeout", DURATION, "how long one attempt may take (60s)"},
    {"outputs", MAP, "reshapes what is kept, from `result`"},
    {"needs", "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9_]*$\"}}",
     "the steps that must have ended before it; [] = none (all above)"},
    {"retry", RETRY, "how a failed attempt is tried again"},
    {"max_elapsed", DURATION, "how long all attempts together may take"},
    {"heartbeat", DURATION, "how long its code may be silent: it has to call ctx.heartbeat() that often (what its action says, else never)"},
    {"repeat", "{\"$ref\":\"#/$defs/repeat\"}", "runs it again and again until something is so"},
    {"limit", LIMIT, "the limit of bellwire.yaml that its attempts share with other steps; none: not even the one of its action"},
    {"guarantee", "{\"enum\":[\"at_least_once\",\"at_most_once\"]}",
     "at_most_once: it is never called twice; after a crash in between nobody knows, and it ends as unknown (at_least_once)"},
    {"effect", "{\"enum\":[\"none\",\"read\",\"write\"]}",
     "what it does outside: only a write waits until what it depends on is on disk (what its action says, else write)"},
    {"on_error", "{\"enum\":[\"fail\",\"continue\"]}", "continue: the run goes on without this step's output (fail)"},
    {"catch", "{\"type\":\"array\",\"minItems\":1,\"maxItems\":32,\"items\":{\"$ref\":\"#/$defs/catch\"}}",
     "what is done when it fails: the first whose `if` is true"},
    {"undo", "{\"$ref\":\"#/$defs/undo\"}", "takes its effect back when the run fails later; `result` is its output"},
    {"sensitive", "{\"type\":\"boolean\"}", "what it gives is kept for the steps behind it, and shown nowhere (false)"},
    {"sleep", "{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"\\\\S\"},{\"$ref\":\"#/$defs/sleep\"}]}",
     "waits that long, or until a time; survives restarts"},
    {"wait", "{\"$ref\":\"#/$defs/wait\"}", "waits for an event; survives restarts"},
    {"foreach", "{\"type\":[\"string\",\"array\"],\"minLength\":1}", "`steps` are run once for each item of this list, in runs of their own"},
    {"as", "{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9_]*$\",\"maxLength\":64}", "what expressions inside call the item (item)"},
    {"key", EXPR, "what an item is called in failed_keys (its index)"},
    {"concurrency", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}", "how many items run at once (10)"},
    {"tolerate", "{\"oneOf\":[{\"type\":\"integer\",\"minimum\":0},{\"type\":\"string\",\"pattern\":\"^(all|[0-9]+(\\\\.[0-9]+)?%)$\"}]}",
     "how many items may fail: a number, a share such as 2%, or all (0)"},
    {"approve", "{\"$ref\":\"#/$defs/approve\"}", "waits for what a person decides; survives restarts"},
    {"emit", "{\"oneOf\":[{\"$ref\":\"#/$defs/emit\"},{\"type\":\"array\",\"minItems\":1,\"maxItems\":100,\"items\":{\"$ref\":\"#/$defs/emit\"}}]}",
     "causes events, exactly once, with the record of this step"},
    {"respond", "{\"$ref\":\"#/$defs/respond\"}", "answers the sender who waits (respond: {mode: result} of the workflow)"},
    {"stop", "{\"$ref\":\"#/$defs/stop\"}", "ends the run here"},
    {"steps", STEPS, "of a block: run when its `if` is true; of a foreach: run for each item"},
    {"else", STEPS, "of a block: run when its `if` is false"},
    {"switch", "{\"type\":[\"string\",\"boolean\",\"number\"]}", "an expression whose value chooses one of `cases`"},
    {"cases", "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":" STEPS "}", "steps for each value of `switch`"},
    {"default", STEPS, "steps for any other value of `switch`"},
    {"parallel", STEPS, "steps that run side by side"},
    {"detach", "{\"type\":\"boolean\"}", "with uses: workflow/NAME: nobody waits for it (false)"},
};
const size_t bw_step_key_count = sizeof bw_step_keys / sizeof *bw_step_keys;

const struct bw_load_key bw_schema_keys[] = {
    {"type", "{\"enum\":[\"any\",\"string\",\"integer\",\"number\",\"boolean\",\"object\",\"array\"]}", "what the value must be (any)"},
    {"required", "{\"type\":\"boolean\"}", "there must be a value (false)"},
    {"default", "{\"type\":[\"object\",\"array\",\"string\",\"number\",\"boolean\",\"null\"]}",
     "the value when there is none; of an input it may hold expressions over `event`"},
    {"enum", "{\"type\":\"array\",\"minItems\":1}", "the values that are allowed"},
    {"min", "{\"type\":\"number\"}", "the least number"},
    {"max", "{\"type\":\"number\"}", "the greatest number"},
    {"format", "{\"enum\":[\"email\",\"uri\",\"date-time\",\"uuid\"]}", "how a string must look"},
    {"items", "{\"$ref\":\"#/$defs/schema\"}", "of an array: a schema for each item"},
    {"properties", "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/schema\"}}", "of an object: a schema for each member"},
    {"doc", "{\"type\":\"string\"}", "for people"},
    {"max_items", "{\"type\":\"integer\",\"minimum\":0}", "of an array"},
    {"max_length", "{\"type\":\"integer\",\"minimum\":0}", "of a string, in characters"},
};
const size_t bw_schema_key_count = sizeof bw_schema_keys / sizeof *bw_schema_keys;

const struct bw_load_key bw_retry_keys[] = {
    {"attempts", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}", "attempts in all; 1 is no retry (6)"},
    {"delay", "{\"oneOf\":[" DURATION ",{\"type\":\"array\",\"minItems\":1,\"maxItems\":20,\"items\":" DURATION "}]}",
     "the first wait (2s); or a list: all of them, and one attempt more than waits"},
    {"factor", "{\"type\":\"number\",\"minimum\":1,\"maximum\":100}", "each further wait is that many times longer (5)"},
    {"max_delay", DURATION, "the longest wait (15m)"},
    {"jitter", "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", "up to this part of a wait is taken off at random (0.5)"},
    {"max_elapsed", DURATION, "no attempt begins later than this after the first (none)"},
    {"on",
     "{\"oneOf\":[{\"enum\":[\"transient\",\"any\"]},{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\",\"minLength\":1,"
     "\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}}}]}",
     "transient: what may pass; any; or a list of error codes (transient)"},
};
const size_t bw_retry_key_count = sizeof bw_retry_keys / sizeof *bw_retry_keys;

const struct bw_load_key bw_defaults_keys[] = {
    {"retry", RETRY, "of steps that use an action or Lua"},
    {"timeout", DURATION, "how long one attempt may take"},
    {"limit", LIMIT, "of steps that use an action, or Lua with ctx"},
};
const size_t bw_defaults_key_count = sizeof bw_defaults_keys / sizeof *bw_defaults_keys;

const struct bw_load_key bw_limit_keys[] = {
    {"name", "{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9-]{0,63}$\"}", "its name in bellwire.yaml"},
    {"key", "{\"type\":[\"string\",\"number\"],\"minLength\":1}", "apart for each value of this: a tenant, an account; may be an expression"},
    {"cost", "{\"oneOf\":[{\"type\":\"number\",\"minimum\":0},{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\\\\{\"}]}",
     "how much of the rate an attempt takes; may be an expression (1)"},
};
const size_t bw_limit_key_count = sizeof bw_limit_keys / sizeof *bw_limit_keys;

const struct bw_load_key bw_sleep_keys[] = {
    {"until", "{\"type\":[\"string\",\"integer\"]}", "RFC 3339 text or Unix milliseconds; may be an expression"},
};
const size_t bw_sleep_key_count = sizeof bw_sleep_keys / sizeof *bw_sleep_keys;

const struct bw_load_key bw_emit_keys[] = {
    {"event", "{\"type\":\"string\",\"pattern\":\"\\\\S\"}", "name of the event: parts between dots; may hold expressions"},
    {"data", "{\"type\":[\"object\",\"array\",\"string\",\"number\",\"boolean\",\"null\"]}", "what workflows see as event.data ({})"},
    {"key", "{\"type\":[\"string\",\"number\"]}", "an event with a key that came within 3 days is not caused again"},
    {"delay", "{\"type\":\"string\",\"pattern\":\"\\\\S\"}", "the event comes so long after the step: a duration; may be an expression"},
};
const size_t bw_emit_key_count = sizeof bw_emit_keys / sizeof *bw_emit_keys;

const struct bw_load_key bw_respond_mode_keys[] = {
    {"mode", "{\"enum\":[\"ack\",\"result\"]}", "ack: answered when the event is stored; result: by the run"},
    {"within", DURATION, "how long the sender is kept waiting for the result, at most 60s (10s)"},
};
const size_t bw_respond_mode_key_count = sizeof bw_respond_mode_keys / sizeof *bw_respond_mode_keys;

const struct bw_load_key bw_respond_keys[] = {
    {"status", "{\"oneOf\":[{\"type\":\"integer\",\"minimum\":200,\"maximum\":599},{\"type\":\"string\",\"pattern\":\"\\\\S\"}]}",
     "the HTTP status (200)"},
    {"headers", MAP, "HTTP headers: texts by name"},
    {"body", "{\"type\":[\"object\",\"array\",\"string\",\"number\",\"boolean\",\"null\"]}", "a text is sent as it is, anything else as JSON"},
};
const size_t bw_respond_key_count = sizeof bw_respond_keys / sizeof *bw_respond_keys;

const struct bw_load_key bw_wait_keys[] = {
    {"event", EVENT, "name of the event; * stands for one part, a trailing ** for the rest"},
    {"by", "{\"type\":\"string\",\"pattern\":\"^data(\\\\.[^.]+)+$\",\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}}",
     "the field of that event that is compared: data.order.id"},
    {"equals", "{\"type\":[\"string\",\"number\",\"boolean\"]}", "what stands in that field"},
    {"if", EXPR, "must be true; result.event is the event"},
    {"any", "{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"$ref\":\"#/$defs/arm\"}}", "several events, whichever comes first"},
    {"since", "{\"anyOf\":[{\"enum\":[\"run\",\"now\"]}," DURATION "]}", "run: also events since the run began; now; or how long ago (run)"},
    {"timeout", DURATION, "how long to wait (as long as the run may take)"},
    {"on_timeout", "{\"enum\":[\"continue\",\"fail\"]}", "fail, or go on with timed_out = true (continue)"},
};
const size_t bw_wait_key_count = sizeof bw_wait_keys / sizeof *bw_wait_keys;

const struct bw_load_key bw_approve_keys[] = {
    {"message", "{\"type\":\"string\",\"minLength\":1}", "what is to be decided; may hold expressions"},
    {"choices",
     "{\"type\":\"array\",\"minItems\":1,\"maxItems\":10,\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}}",
     "what may be decided ([approve, reject])"},
    {"form", "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[a-z][a-z0-9_]*$\"},\"additionalProperties\":{\"$ref\":\"#/$defs/schema\"}}",
     "what else is asked for: a schema for each"},
    {"timeout", DURATION, "how long to wait (7d)"},
    {"on_timeout", "{\"type\":\"string\"}", "fail, or the choice that is taken then (fail)"},
    {"notify", "{\"$ref\":\"#/$defs/notify\"}", "a step that tells somebody; `approval` has message and url"},
    {"need", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":20}", "so many of `to` must choose the same (1)"},
    {"to",
     "{\"type\":\"array\",\"minItems\":1,\"maxItems\":20,\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100}}",
     "who is asked: each has a link of their own, in approval.urls, and one vote (whoever has the link)"},
};
const size_t bw_approve_key_count = sizeof bw_approve_keys / sizeof *bw_approve_keys;

const struct bw_load_key bw_stop_keys[] = {
    {"as", "{\"enum\":[\"succeeded\",\"failed\",\"skipped\"]}", "how the run ends (succeeded)"},
    {"message", "{\"type\":\"string\"}", "why; may hold expressions"},
};
const size_t bw_stop_key_count = sizeof bw_stop_keys / sizeof *bw_stop_keys;

const struct bw_load_key bw_catch_keys[] = {
    {"if", EXPR, "takes only failures for which this is true; `error` is the failure"},
    {"steps", STEPS, "what is done then"},
    {"then", "{\"enum\":[\"continue\",\"fail\",\"stop\"]}", "after that the run goes on, fails with the error, or ends as succeeded (continue)"},
};
const size_t bw_catch_key_count = sizeof bw_catch_keys / sizeof *bw_catch_keys;

const struct bw_load_key bw_collect_keys[] = {
    {"key", EXPR, "events go together that have the same; of the event"},
    {"quiet", DURATION, "the run begins when none has come for so long"},
    {"max_wait", DURATION, "the run begins so long after the first one, whatever comes"},
    {"max_events", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}", "the run begins when there are so many (100)"},
};
const size_t bw_collect_key_count = sizeof bw_collect_keys / sizeof *bw_collect_keys;

const struct bw_load_key bw_concurrency_keys[] = {
    {"limit", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}", "so many at a time (1)"},
    {"key", EXPR, "counts for each value by itself; of the event, or of inputs"},
    {"scope", "{\"type\":\"string\",\"pattern\":\"^(workflow|global:[a-z][a-z0-9-]*)$\"}",
     "global:NAME is shared by all workflows that say so (workflow)"},
    {"when_full", "{\"enum\":[\"queue\",\"skip\",\"replace\",\"cancel_running\"]}",
     "queue: it waits; skip: it is not run; replace: it waits, those that waited are cancelled (queue)"},
    {"max_queue", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000}", "at most so many wait, more are skipped (10000)"},
    {"hold", "{\"enum\":[\"run\",\"active\"]}", "active: who sleeps or waits does not count meanwhile (run)"},
    {"on_failed", "{\"enum\":[\"continue\",\"hold\"]}",
     "hold: a run that failed keeps its slot until it is resumed, replayed or discarded (continue)"},
};
const size_t bw_concurrency_key_count = sizeof bw_concurrency_keys / sizeof *bw_concurrency_keys;

const struct bw_load_key bw_rate_keys[] = {
    {"limit", "{\"type\":\"string\",\"pattern\":\"^[0-9]+/[0-9]+[a-z]+\"}", "so many in so much time, as 5/1h or 60/1m"},
    {"key", EXPR, "counts for each value by itself; of the event, or of inputs"},
    {"burst", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000}", "at most so many at once, after a rest (1)"},
    {"over", "{\"enum\":[\"delay\",\"skip\"]}", "what becomes of a run that is too many: it begins later, or is skipped (delay)"},
};
const size_t bw_rate_key_count = sizeof bw_rate_keys / sizeof *bw_rate_keys;

const struct bw_load_key bw_repeat_keys[] = {
    {"until", EXPR, "the last time is the one for which this is true; `result` is the output"},
    {"every", DURATION, "how long to wait in between (30s)"},
    {"max", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}", "how many times at most (100)"},
};
const size_t bw_repeat_key_count = sizeof bw_repeat_keys / sizeof *bw_repeat_keys;
