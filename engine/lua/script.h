/* script.h: the door to Lua: one `struct bw_script` is one Lua state that serves ONE run at a time of one workflow version (but for those of
 * bw_script_new_shared()).
 *
 * A script is made from a workflow (all its expressions and inline code compiled) and the Lua actions it uses. It is reused for the next run of
 * the same version after bw_script_end_run(): library tables are read-only, each attempt of a step gets a fresh environment, in which action files
 * and the modules that they require are executed anew (compiled once). Never shared between workflows. Single-threaded (worker process). Nothing here
 * aborts: every Lua error, memory exhaustion and budget overrun becomes a bw_error; code classes: expr.* (expressions), lua.error, lua.timeout,
 * lua.memory, lua.denied, input.*, output.*. Lua never runs outside a protected call.
 *
 * Memory: all allocations of the state are capped (limits.memory_bytes; in a shared one those of each task). Time: a count hook yields at slice ends
 * when it can, raises lua.timeout when the deadline has passed and again on every later hook, so that pcall loops cannot eat it. C functions cannot
 * be interrupted: the flight page and the engine's kill are for that. Data from events are read-only views over JSON text (view.c), not tables. */
#ifndef BW_LUA_SCRIPT_H
#define BW_LUA_SCRIPT_H
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/schema.h"
#include "workflow/model.h"
#include <stdint.h>

struct bw_script_limits {
    size_t memory_bytes;        /* per state */
    uint32_t expr_instructions; /* 100,000 per evaluation; and 500 ms of the processor for what is evaluated at once */
    size_t expr_bytes;          /* 4 MiB that an evaluation may keep at once, on top of what is there; 0 = as much as memory_bytes allows */
    int64_t slice_us;           /* 2,000: how long Lua code runs before it gives way to the loop */
};

/* ---- the files of a revision are loaded in one state, one after the other: what several of them require is compiled once ---- */
struct bw_loader;
struct bw_loader *bw_loader_new(const struct bw_script_limits *limits); /* NULL: out of memory */
void bw_loader_free(struct bw_loader *loader);

/* ---- modules: Lua files that action files `require` ---- */
struct bw_module {   /* immutable; shared by all scripts of a revision */
    uint64_t number; /* no other of this process has it */
    char *name;      /* what is required: [a-z0-9_]+ */
    char *file;      /* "…/FOLDER/lib/NAME.lua" */
    char *folder;    /* "…/FOLDER/": the action files in it and below it see the module */
    struct bw_slice source;
};
/* Compiles it, runs nothing. NULL with err (file:line) on a syntax error, or when it lies in the wrong place. */
struct bw_module *bw_module_load(struct bw_loader *loader, struct bw_slice source, const char *file, struct bw_error *err);
void bw_module_free(struct bw_module *module);
bool bw_module_is_seen_by(const struct bw_module *module, const char *file);

/* ---- Lua action files: executed once to read what they offer ---- */
struct bw_action {  /* immutable; shared by all scripts of a revision */
    char *name;     /* "ns/name" */
    uint32_t major; /* from version */
    char *version, *doc, *file;
    struct bw_slice source; /* the file's text, owned */
    json_t *manifest; /* {name, version, doc, inputs, outputs, secrets, effect, timeout, heartbeat, limit, retry}: all but the function, as data */
    struct bw_schema *inputs, *outputs; /* NULL = not declared: anything */
    char **secrets;
    size_t secret_count;
    int64_t timeout_ms;               /* 0 = not given */
    int64_t heartbeat_ms;             /* 0 = not given */
    struct bw_retry retry;            /* what the manifest says; the rest is unset */
    bool has_effect;                  /* effect = "write" (default); false for "none" and "read" */
    bool is_bundled;                  /* a part of Bellwire; for whoever keeps the catalogue, as is: */
    const struct bw_package *package; /* the plugin in Lua that it belongs to, or NULL */
    bool requires;                    /* its file uses `require`, and so may depend on each of the modules */
    const struct bw_module **modules; /* those that it sees, borrowed */
    size_t module_count;
};
/* Runs the file under memory and instruction limits. modules: all there are; they must outlive the action. NULL with err (file:line) on a syntax
 * error, a missing `return action{…}`, unknown keys ("did you mean"), a bad schema, a bad name or version, or a loop. */
struct bw_action *bw_action_load(struct bw_loader *loader, struct bw_slice source, const char *file, struct bw_module *const *modules,
                                 size_t module_count, struct bw_error *err);
void bw_action_free(struct bw_action *action);
/* The same from a plugin's manifest entry (JSON): fields shared, source empty. */
struct bw_action *bw_action_from_manifest(const json_t *entry, const char *file, struct bw_error *err);

/* ---- scripts ---- */
struct bw_script;
/* actions[i]: the Lua action of step i, or NULL (inline lua, set, plugin). Compiles everything; every error goes to errs with the workflow's
 * file:line:column; NULL if there was any. The workflow and actions must outlive the script. */
struct bw_script *bw_script_new(const struct bw_workflow *workflow, const struct bw_action *const *actions, const struct bw_script_limits *limits,
                                struct bw_errors *errs);
/* A state for the actions of one plugin alone, which tasks are given (bw_task_options.action), for as many runs at once as use them. They share its
 * memory, of which each may take as much as there is for a state of its own, and its files and modules are executed once: only for code that keeps
 * nothing in its variables. NULL with err: no memory. */
struct bw_script *bw_script_new_shared(const struct bw_script_limits *limits, struct bw_error *err);
void bw_script_free(struct bw_script *script);
/* Memory in use by the state, and whether the state must not be reused (memory or time limit was hit, recycling age reached). */
size_t bw_script_memory(const struct bw_script *script);
bool bw_script_is_spent(const struct bw_script *script);

struct bw_run_scope {           /* what expressions and ctx see; borrowed until bw_script_end_run */
    struct bw_slice event_body; /* validated JSON, or empty/non-JSON: then event.data is a string (UTF-8) or nil and event.body_base64 … */
    bool body_is_json;
    struct bw_slice event_headers;                      /* JSON object */
    struct bw_slice event_id, event_name, event_source; /* id in text form */
    int64_t event_at_ms;
    bool event_trusted;
    struct bw_slice events;         /* JSON array of what bw_script_write_event() makes of each, the one above last; empty: that one alone */
    struct bw_slice run_id;         /* text */
    struct bw_slice inputs, locals; /* JSON objects, or empty: see bw_script_set_names() */
    struct bw_slice error;          /* JSON object, or empty: bw_script_set_error() */
};
/* Appends an event as expressions see it: a JSON object. */
void bw_script_write_event(const struct bw_run_scope *scope, struct bw_buf *out);
/* Expression names: events [event…] (only with `collect`), event {id name source at data headers trusted}, vars, inputs, steps, workflow {name}, run
 * {id}, secrets and config (only inside `with`), result (only in a step's outputs), approval (only in a `notify`), plus the helpers of
 * semantics.md 3.2. */
void bw_script_begin_run(struct bw_script *script, const struct bw_run_scope *scope);
/* inputs: what the run is called with. locals: names that only this run has: item, index. Borrowed until bw_script_end_run(). */
void bw_script_set_names(struct bw_script *script, struct bw_slice inputs, struct bw_slice locals);
/* What `error` is for the evaluations that follow; borrowed until then. Empty: nil. */
void bw_script_set_error(struct bw_script *script, struct bw_slice error);
void bw_script_end_run(struct bw_script *script);
/* A run that has no task in the state can go on in another one of the same workflow: until then it needs none, and the state is free as behind
 * bw_script_end_run(). What was borrowed for the run stays so. */
struct bw_suspended_run { /* not to be looked into; zeroed, it is none */
    struct bw_run_scope scope;
    struct bw_step_value *steps;
    size_t step_count;
};
void bw_script_suspend_run(struct bw_script *script, struct bw_suspended_run *run);
void bw_script_resume_run(struct bw_script *script, struct bw_suspended_run *run); /* instead of bw_script_begin_run() */
void bw_suspended_run_free(struct bw_suspended_run *run);                          /* it does not go on */

enum bw_step_status { BW_STATUS_NONE, BW_STATUS_SUCCEEDED, BW_STATUS_FAILED, BW_STATUS_SKIPPED, BW_STATUS_UNKNOWN };
/* output: JSON text, copied. error: JSON text or empty. */
bool bw_script_set_step(struct bw_script *script, size_t step, enum bw_step_status status, struct bw_slice output, struct bw_slice error,
                        struct bw_error *err);
/* Conditions: true, false, nil (= false); anything else is expr.not_boolean at the expression's place. */
bool bw_script_condition(struct bw_script *script, uint32_t expr, bool *out, struct bw_error *err);
bool bw_script_condition_of(struct bw_script *script, uint32_t expr, struct bw_slice result, bool *out, struct bw_error *err); /* sees `result` */
/* Renders a template to compact JSON text appended to out. grants: secret values that `secrets.X` yields as sealed values — they are rendered only
 * with allow_secrets (the `with` of a step); result: JSON for `result`, or empty. */
struct bw_grant {
    struct bw_slice name, value;
};
struct bw_render {
    const struct bw_grant *grants;
    size_t grant_count;
    bool allow_secrets;
    struct bw_slice result;
    struct bw_slice locals;   /* instead of the run's, or empty */
    struct bw_slice approval; /* JSON for `approval`, or empty */
    struct bw_slice step;     /* JSON for `step`, or empty */
    struct bw_slice config;   /* JSON object for `config`; empty: it cannot be used there */
};
bool bw_script_render(struct bw_script *script, const struct bw_template *template_, const struct bw_render *render, struct bw_buf *out,
                      struct bw_error *err);

/* ---- Lua code as coroutines ---- */
#define BW_STEP_CANCELLED "step.cancelled" /* the code of what ends code that is not wanted any more */
struct bw_task;                            /* one attempt of one `lua:` or Lua-action step */
enum bw_part_state { BW_PART_NONE, BW_PART_DONE, BW_PART_FAILED };
#define BW_CACHE_VALUE_BYTES_MAX 8192
enum bw_cache_state { BW_CACHE_HAS, BW_CACHE_MAKE, BW_CACHE_WAIT };
enum bw_stream_state { BW_STREAM_BYTES, BW_STREAM_WAITS, BW_STREAM_END, BW_STREAM_FAILED };
struct bw_task_services { /* what ctx reaches; functions are called on the worker's thread while the coroutine runs and must not block */
    void *arg;
    void (*log)(void *arg, const char *level, struct bw_slice message);
    bool (*cancelled)(void *arg); /* from then on the code can wait for nothing any more: ctx.http and ctx.sleep raise BW_STEP_CANCELLED */
    void (*heartbeat)(void *arg);
    void (*progress)(void *arg, struct bw_slice text);   /* for whoever watches */
    bool (*callback_url)(void *arg, struct bw_buf *out); /* where the result may be posted after BW_TASK_PENDING; false: nothing listens */
    /* The answer to the last HTTP request with is_stream: what of it has come is appended to out (BYTES). WAITS: nothing new; then the coroutine asks
     * with BW_REQUEST_READ to be resumed. FAILED fills err and is_transient. */
    enum bw_stream_state (*read)(void *arg, struct bw_buf *out, struct bw_error *err, bool *is_transient);
    void (*close)(void *arg); /* that answer is given up */
    /* The metered call `id` has ended. said: JSON object of numbers: input_tokens, output_tokens, cached_tokens, cost, first_ms, took_ms */
    void (*usage)(void *arg, int64_t id, struct bw_slice said);
    /* Parts of the step. What is recorded of one: its output (DONE) or its error (FAILED) is appended, as JSON. NULL: this code is a part itself. */
    enum bw_part_state (*part)(void *arg, struct bw_slice name, struct bw_buf *output, struct bw_buf *error);
    /* Of an action or a workflow, as JSON. input: what it is to be given (JSON), which must fit then; or empty. */
    bool (*offer)(void *arg, struct bw_slice uses, struct bw_slice input, struct bw_buf *manifest, struct bw_error *err);
    /* What the plugin keeps under this name, for a time. HAS: appended to value. MAKE: the code makes it now, and says so by cache_put(), with a
     * value, or with a ptr of NULL when it could not. WAIT: another attempt is about to; the coroutine asks with BW_REQUEST_CACHE to be resumed when
     * that one has ended, and looks again. NULL: the action belongs to no plugin. */
    enum bw_cache_state (*cache_find)(void *arg, struct bw_slice name, struct bw_buf *value);
    void (*cache_put)(void *arg, struct bw_slice name, struct bw_slice value, int64_t life_ms);
    void (*cache_drop)(void *arg, struct bw_slice name, struct bw_slice value); /* that value is not good any more */
    /* By which `actor`, or whoever has it when that is empty, answers the question that the part `name` is. False: nothing listens. */
    bool (*link)(void *arg, struct bw_slice name, struct bw_slice actor, struct bw_buf *out);
};
struct bw_task_options {
    size_t step;
    const struct bw_action *action; /* one that the step's code runs, instead of that code; NULL: the step's own */
    struct bw_slice input;          /* JSON object text, already checked; copied into Lua values */
    const char *idempotency_key;
    uint32_t attempt;
    const struct bw_grant *grants; /* what ctx.secret may return: declared by the action and granted by the workflow */
    size_t grant_count;            /* they are copied; the values are borrowed until the task is freed */
    struct bw_slice config;        /* what ctx.config is, a JSON object; empty: the action belongs to no plugin, and has none */
    int64_t deadline_us;           /* bw_clock_mono_us() at which the attempt is over */
    struct bw_task_services services;
};
struct bw_task *bw_task_new(struct bw_script *script, const struct bw_task_options *options, struct bw_error *err);
void bw_task_free(struct bw_task *task); /* ends the coroutine wherever it is */

enum bw_task_state {
    BW_TASK_YIELDED, /* its slice is over: resume it on the next turn of the loop */
    BW_TASK_WAITS,   /* it asked for something: bw_task_request(); answer with bw_task_answer(), then resume */
    BW_TASK_DONE,    /* bw_task_output() */
    BW_TASK_FAILED,  /* bw_task_failure() */
    BW_TASK_PENDING, /* its result will be posted: bw_task_within_ms() */
};
/* Runs the coroutine for at most one slice. */
enum bw_task_state bw_task_resume(struct bw_task *task);

enum bw_request_kind {
    BW_REQUEST_HTTP,
    BW_REQUEST_READ,
    BW_REQUEST_SLEEP,
    BW_REQUEST_USAGE,
    BW_REQUEST_KEEP,
    BW_REQUEST_ACT,
    BW_REQUEST_CALL,
    BW_REQUEST_ASK,
    BW_REQUEST_CACHE
};
struct bw_http_header {
    struct bw_slice name, value;
};
struct bw_task_request { /* borrowed until bw_task_answer */
    enum bw_request_kind kind;
    int64_t sleep_ms; /* SLEEP */
    /* KEEP: the part `method` has the value `body` (JSON). ACT: the part `method` is the action `url` with the input `body`. Answered with 200 and
     * the output, with 500 and the error of a part that has failed (both JSON), or with an error. A called workflow (ACT with "workflow/NAME"), CALL,
     * whose body is an array of {name, uses, input?}, and ASK, whose body is one of {name, message, choices?, to?, need?, timeout?, on_timeout?}, are
     * answered with an error only: else the task is freed, and the code begins anew when what it waits for is recorded */
    /* USAGE: `body` is a JSON object: provider, model, input_tokens, output_tokens, cost, budget {calls, tokens, cost, ms}, each but the first two
     * only if it is known; answered with a status and the number of the call as the body, or with an error */
    /* HTTP: checked for CR, LF and NUL already */
    struct bw_slice method, url, body;
    const struct bw_http_header *headers;
    size_t header_count;
    int64_t timeout_ms; /* 0 = the step's deadline. READ: how long nothing may come */
    uint64_t max_response_bytes;
    bool is_stream; /* its head is answered, the rest is read through the services */
};
const struct bw_task_request *bw_task_request(const struct bw_task *task);
struct bw_http_answer {
    unsigned status; /* 0 = it failed: error */
    const struct bw_http_header *headers;
    size_t header_count;
    struct bw_slice body;
    const struct bw_error *error; /* code http.*: raised in Lua as an error object of class transient where it was a network failure */
    bool transient;
    bool was_sent; /* a part of the request at least, so it may have been acted upon; Lua does not see it */
};
/* NULL answers a SLEEP; a READ and a CACHE need no answer; copies what it needs. False: there is no memory for it, which the code is told instead. */
bool bw_task_answer(struct bw_task *task, const struct bw_http_answer *answer);

struct bw_slice bw_task_output(const struct bw_task *task); /* DONE: JSON text; `return nil` is {}; scalar results are {"value": …} */
enum bw_failure_class { BW_FAILURE_BUG, BW_FAILURE_PERMANENT, BW_FAILURE_TRANSIENT, BW_FAILURE_TIMEOUT, BW_FAILURE_NONE /* PENDING */ };
struct bw_task_failure {
    enum bw_failure_class class;
    int64_t retry_after_ms; /* ctx.retry{after=…}, -1 = not given */
    struct bw_error error;  /* file:line of the Lua code where known */
};
const struct bw_task_failure *bw_task_failure(const struct bw_task *task);
int64_t bw_task_within_ms(const struct bw_task *task); /* 0: as long as the run may take */
#endif
