/* model.h: a workflow as the loader understood it. Plain data, immutable after load, freed at once (it lives in one arena).
 *
 * Expressions are kept as Lua source with their place; the lua room compiles exprs[i] and refers to it by its index.
 * Any thread may read. Owner: whoever called bw_workflow_load(). */
#ifndef BW_WORKFLOW_MODEL_H
#define BW_WORKFLOW_MODEL_H
#include "base/buf.h"
#include "base/error.h"
#include "workflow/retry.h"
#include <stdint.h>

struct bw_mark {
    int line, column; /* 1-based, in the workflow's file */
};

struct bw_expr { /* the text between ${{ and }} (or a bare expr field), aliases already rewritten: != && || ! become ~= and or not */
    struct bw_slice source;
    struct bw_mark mark; /* of the first byte of source */
    bool is_condition;   /* an `if`: must give true, false or nil */
};

/* A value with holes: what `with`, `set`, `outputs` hold. */
enum bw_template_kind { BW_TEMPLATE_CONST, BW_TEMPLATE_EXPR, BW_TEMPLATE_TEXT, BW_TEMPLATE_LIST, BW_TEMPLATE_MAP };
struct bw_template {
    enum bw_template_kind kind;
    struct bw_mark mark;
    struct bw_slice json;         /* CONST: compact JSON of the whole subtree (constant subtrees are folded) */
    uint32_t expr;                /* EXPR: index; the value keeps its type, nil drops the key */
    struct bw_text_piece *pieces; /* TEXT */
    struct bw_template **items;   /* LIST, MAP (values) */
    struct bw_slice *keys;        /* MAP */
    size_t count;                 /* of pieces or items */
};
struct bw_text_piece {
    struct bw_slice text; /* literal when is_expr is false */
    bool is_expr;
    uint32_t expr;
};

enum bw_trigger_kind { BW_TRIGGER_EVENT, BW_TRIGGER_MANUAL, BW_TRIGGER_SCHEDULE, BW_TRIGGER_CALL, BW_TRIGGER_WEBHOOK };
enum bw_missed { BW_MISSED_LATEST, BW_MISSED_ALL, BW_MISSED_SKIP }; /* firings while nobody served */
struct bw_trigger {
    enum bw_trigger_kind kind;
    struct bw_slice event;      /* glob over the event name: '*' within one dot-separated part, a trailing '**' matches the rest */
    int32_t condition;          /* expr index or -1 */
    struct bw_slice cron, zone; /* SCHEDULE: as written; both have been tried */
    enum bw_missed missed;
    int64_t max_age_ms;         /* SCHEDULE: a firing that is later than that is left out */
    struct bw_slice source;     /* WEBHOOK: the only one whose events it wants, the workflow's name; `event` is then NAME.** */
    struct bw_slice webhook;    /* WEBHOOK: as it is written, for the engine (base/yaml_tree.h) */
    struct bw_slice definition; /* WEBHOOK: the same without places and `if`, JSON */
    struct bw_mark mark;
};

/* Those from IF on are blocks: they hold other steps. */
enum bw_step_kind {
    BW_STEP_USES,
    BW_STEP_LUA,
    BW_STEP_SET,
    BW_STEP_STOP,
    BW_STEP_SLEEP,
    BW_STEP_WAIT,
    BW_STEP_EMIT,
    BW_STEP_CALL,    /* runs another workflow */
    BW_STEP_FOREACH, /* what is inside of it is not run by this run, but by one for each item */
    BW_STEP_RESPOND, /* answers the sender who waits */
    BW_STEP_APPROVE, /* waits for what a person decides */
    BW_STEP_MARK,    /* nothing to do, a row alone: how the steps above have ended, recorded before those that follow from that begin (struct
                        bw_endings);    what the run is cancelled by (bw_workflow.cancel_on) */
    BW_STEP_IF,
    BW_STEP_SWITCH,
    BW_STEP_PARALLEL,
    BW_STEP_TRY,  /* branch 0 is one step, branch i + 1 are the steps of its catches[i]. It has ended when the one that was taken has */
    BW_STEP_UNDO, /* the `undo` steps, run one after the other. These three begin when all steps above have come to their end */
    BW_STEP_ON_FAILURE,
    BW_STEP_FINALLY
};
enum bw_then { BW_THEN_CONTINUE, BW_THEN_FAIL, BW_THEN_STOP };
struct bw_catch {
    int32_t condition; /* expr index, sees `error`; -1: every failure */
    enum bw_then then; /* what follows when its steps have ended */
};
/* What a run does after its steps: indices of steps, -1 = there is none. mark is there when any of the others is. */
struct bw_endings {
    int32_t mark, undo, on_failure, finally;
};
enum bw_effect { BW_EFFECT_UNSET, BW_EFFECT_NONE, BW_EFFECT_READ, BW_EFFECT_WRITE }; /* UNSET: as its action says, else WRITE */
enum bw_stop { BW_STOP_SUCCEEDED, BW_STOP_FAILED, BW_STOP_SKIPPED };
struct bw_step_arm {            /* an event that a WAIT waits for, or that cancels the run */
    struct bw_slice event;      /* glob, as in a trigger */
    struct bw_slice by;         /* dotted path into the event, from "data." on; empty: any event of that name */
    struct bw_template *equals; /* what stands there; NULL without `by` */
    int32_t condition;          /* expr index or -1; sees `result` = {event, arm} */
    struct bw_mark mark;
};
struct bw_step_limit {            /* what a step shares by name with steps of all workflows */
    struct bw_slice name;         /* empty: not written here; "none": the step has none, whatever its action says */
    struct bw_template *measures; /* MAP of `key` and `cost`, those that are written; NULL: neither is */
    bool has_key, has_cost;
    struct bw_mark mark; /* of the name */
};
struct bw_repeat {
    int32_t until;    /* expr index, sees `result` */
    int64_t every_ms; /* between two iterations */
    uint32_t max;     /* iterations; 0: the step is not repeated */
};
#define BW_REPEAT_MAX 100000
struct bw_step {
    enum bw_step_kind kind;
    struct bw_slice id;   /* empty: a block that nobody refers to */
    struct bw_slice path; /* unique in the run: the id, or "#N" */
    struct bw_slice name; /* or empty */
    int32_t parent;       /* the block it stands in, or -1 */
    uint32_t branch;      /* which list of the block: IF: 0 steps, 1 else; SWITCH: the case, case_count = default; PARALLEL: 0 */
    uint32_t end;         /* behind the last step inside of it; its own index + 1 when it is no block */
    uint32_t *needs;      /* have ended before it begins; what the block it stands in waits for comes on top */
    size_t need_count;
    bool is_gate;           /* none of those behind it begins before it has ended */
    int32_t condition;      /* expr index or -1 */
    struct bw_slice uses;   /* "ns/name@major" */
    struct bw_slice action; /* "ns/name" */
    uint32_t major;
    struct bw_slice lua;      /* code as written */
    struct bw_mark lua_mark;  /* place of the code's first line, so that Lua's line numbers map to the file's */
    struct bw_template *with; /* MAP or NULL */
    struct bw_template *set;  /* MAP; of a STOP: {message}; of a SWITCH: the value; of a SLEEP: {for} or {until}; of a RESPOND: {status, headers,
                                 body}; of an EMIT: {event, data, key} or a LIST of them; of an APPROVE: the message */
    struct bw_slice *cases;   /* SWITCH: compared with a text, or with the JSON text of anything else */
    size_t case_count;
    struct bw_slice callee; /* CALL: the workflow's name */
    bool is_detached;       /* CALL: nobody waits for it */
    int32_t body;           /* the innermost FOREACH that it stands in, or -1 */
    struct bw_slice as;     /* FOREACH: what expressions call the item, besides `item` */
    int32_t key;            /* FOREACH: expr index or -1: what an item is called in failed_keys */
    uint32_t concurrency;   /* FOREACH */
    uint32_t tolerate;      /* FOREACH: so many items may fail, or so many of a hundred, whichever is more */
    double tolerate_percent;
    bool reads_events;        /* FOREACH: an expression inside reads `events` */
    bool reads_event;         /* FOREACH: an expression inside does */
    bool *reads;              /* FOREACH: as many as the workflow has steps: those outside that expressions inside read */
    enum bw_stop stop;        /* STOP: how the run ends */
    struct bw_step_arm *arms; /* WAIT, and the MARK of cancel_on: whichever comes first */
    size_t arm_count;
    int64_t since_ms;         /* WAIT: events may be that much older than the wait; -1 = as old as the run */
    int64_t wait_ms;          /* WAIT: how long; 0 = as long as the run may take. SLEEP: when it is constant. APPROVE: always */
    bool ends_well;           /* WAIT: on_timeout: continue */
    struct bw_slice *choices; /* APPROVE */
    size_t choice_count;
    uint32_t votes_needed;   /* APPROVE: so many must choose the same; 1 without voters */
    struct bw_slice *voters; /* APPROVE: who is asked, each by a link of their own; none: whoever has the link */
    size_t voter_count;
    int32_t choice_in_time;     /* APPROVE: on_timeout: which one is taken then; -1: it fails */
    struct bw_slice form;       /* APPROVE: JSON object: schemas by name (base/schema.h); empty: it asks for nothing else */
    int32_t notifies;           /* this step tells somebody of that APPROVE, which is the next one; else -1 */
    struct bw_retry retry;      /* what is written at the step or in the workflow's defaults; the rest is unset */
    struct bw_step_limit limit; /* written at the step or in the defaults */
    bool goes_on;               /* on_error: continue */
    bool is_once;               /* guarantee: at_most_once */
    bool is_sensitive;          /* what it gives is kept for later steps and shown nowhere; also of a FOREACH around such a step */
    enum bw_effect effect;
    struct bw_repeat repeat;
    struct bw_catch *catches; /* TRY: the first one whose condition is true is taken */
    size_t catch_count;
    int32_t undoes;              /* stands in an UNDO: the step whose effect it takes back; else -1 */
    struct bw_endings endings;   /* FOREACH: of the runs of its items */
    int64_t timeout_ms;          /* 0 = written neither here nor in the defaults: the action's, else 60 s */
    int64_t heartbeat_ms;        /* 0 = not written: the action's, else its code need not beat */
    struct bw_template *outputs; /* MAP over `result`, or NULL */
    struct bw_mark mark;
};

static inline bool bw_step_is_block(const struct bw_step *step)
{
    return step->kind >= BW_STEP_IF;
}
/* Is the step the one whose failure a TRY may catch? What notifies for it fails for nobody but it. */
static inline bool bw_step_is_caught(const struct bw_step *steps, size_t index)
{
    return steps[index].parent >= 0 && steps[steps[index].parent].kind == BW_STEP_TRY && steps[index].branch == 0 && steps[index].notifies < 0;
}
/* That step. */
static inline size_t bw_step_tried(const struct bw_step *steps, size_t try)
{
    return try + 1 + (steps[try + 1].notifies >= 0);
}
/* The step of the file that a step stands for: itself, or the one that it notifies for. */
static inline size_t bw_step_owner(const struct bw_step *steps, size_t index)
{
    return steps[index].notifies >= 0 ? (size_t)steps[index].notifies : index;
}
static inline bool bw_step_has_notify(const struct bw_step *steps, size_t index)
{
    return index > 0 && steps[index - 1].notifies == (int32_t)index;
}
/* The next one that the same run executes: what is inside of a foreach is passed over. */
static inline size_t bw_step_next(const struct bw_step *steps, size_t index)
{
    return steps[index].kind == BW_STEP_FOREACH ? steps[index].end : index + 1;
}

enum bw_when_taken { BW_TAKEN_QUEUE, BW_TAKEN_SKIP, BW_TAKEN_REPLACE, BW_TAKEN_CANCEL_RUNNING }; /* the numbers of enum bw_when_full (store.h) */
struct bw_concurrency {
    uint32_t limit;          /* 0: the workflow has none */
    struct bw_template *key; /* an EXPR; NULL: one group for all of its runs */
    struct bw_slice scope;   /* a name that workflows share; empty: this workflow alone */
    enum bw_when_taken when_full;
    uint32_t max_queue;
    bool holds_parked;
    bool holds_failed; /* a failed run keeps its slot until something is done about it */
};
struct bw_rate {    /* how many runs begin in a time */
    uint32_t count; /* in each period; 0: no limit */
    int64_t period_ms;
    uint32_t burst;          /* at once, after a rest */
    struct bw_template *key; /* as in bw_concurrency */
    bool skips;              /* who is too many is skipped; else it waits for its turn */
};
#define BW_WORKFLOW_PRIORITY_MAX 3600
#define BW_CONCURRENCY_QUEUE_MAX 10000

struct bw_collect {          /* several events, one run */
    struct bw_template *key; /* an EXPR; NULL: all events of the workflow go together */
    int64_t quiet_ms, max_wait_ms;
    uint32_t max_events; /* 0: the workflow does not collect */
};
#define BW_COLLECT_MAX 1000      /* events of a run */
#define BW_COLLECT_OTHERWISE 100 /* when it is not said */

struct bw_value_ref { /* config.NAME */
    struct bw_slice name;
    struct bw_mark mark;
};
struct bw_field_ref {                 /* steps.ID.NAME, which that step never gives */
    struct bw_slice step, name, near; /* near: what it gives and may be meant, or empty */
    struct bw_mark mark;
};
struct bw_workflow {
    struct bw_slice name, description;
    struct bw_slice labels;                 /* compact JSON object of texts; empty: none. No part of the hash, nor is what follows: about.c */
    int64_t keep_ok_ms, keep_failed_ms;     /* ages after which its runs may go; BW_AGE_UNSET: those of the instance; 0: for ever */
    struct bw_expose {                      /* as a tool of language models */
        struct bw_slice name;               /* empty: it is none */
        struct bw_slice title, description; /* or empty */
        struct bw_mark mark;
    } expose;
    struct bw_slice pool; /* whose workers execute its runs; empty: those of the default one */
    struct bw_mark pool_mark;
    struct bw_slice file; /* as given to the loader */
    uint8_t hash[32];     /* SHA-256 of the canonical definition: formatting and comments do not change it (hash.c) */
    struct bw_trigger *triggers;
    size_t trigger_count;
    struct bw_slice vars;   /* compact JSON object */
    struct bw_slice inputs; /* JSON object: schemas by name (base/schema.h); empty: the workflow takes none */
    struct bw_slice *input_names;
    struct bw_template **input_defaults; /* those with expressions; NULL: none, or a constant that is part of the schema */
    size_t input_count;
    bool reads_events;           /* one of its expressions reads `events` */
    bool reads_event;            /* one of its expressions does */
    bool admission_reads_inputs; /* one of those that say when a run begins reads `inputs` */
    struct bw_slice *secrets;
    struct bw_mark *secret_marks; /* where each is named */
    size_t secret_count;
    struct bw_value_ref *values; /* what its expressions read of `config`; which values there are is not known here */
    size_t value_count;
    struct bw_field_ref *missing; /* fields that its expressions read in vain */
    size_t missing_count;
    struct bw_expr *exprs;
    size_t expr_count;
    struct bw_step *steps; /* the tree in the order of the file: a block stands in front of what it holds */
    size_t step_count;
    struct bw_rate rate;
    struct bw_collect collect;
    struct bw_concurrency concurrency;
    struct bw_template *priority; /* an EXPR; NULL: it is priority_s */
    int32_t priority_s;           /* seconds of head start among the runs that wait for a slot */
    struct bw_template *delay;    /* gives a duration; NULL: it is delay_ms */
    int64_t delay_ms;             /* between the event and the run's beginning */
    int64_t start_within_ms;      /* a run that has not begun by then is skipped; 0 = whenever it can begin */
    struct bw_endings endings;
    int32_t cancel_on;                    /* index of the step, the last one, that waits with its arms as long as the run has steps; -1: none */
    bool undoes_failed, undoes_cancelled; /* undo_on */
    bool fail_fast;                       /* a failure ends the steps beside it, too */
    int64_t respond_ms;                   /* the sender waits so long for the result; 0 = it is answered when the event is stored */
    int64_t timeout_ms;                   /* how long a run may take in all, waits included; 0 = 30 d */
    struct bw_template *outputs;          /* MAP or NULL */
    struct bw_mark mark;
};

#define BW_AGE_UNSET (-1)
#define BW_POOL_DEFAULT "default"
#define BW_WORKFLOW_TIMEOUT_MS (30 * 86400000LL)
#define BW_WORKFLOW_WAIT_MAX_MS (366 * 86400000LL) /* semantics.md 2.5: timers */
#define BW_WORKFLOW_RESPOND_MAX_MS 60000
#define BW_WORKFLOW_EMITS_MAX 100 /* of one step */
#define BW_WORKFLOW_SECRETS_MAX 64
#define BW_WORKFLOW_ARMS_MAX 16
#define BW_WORKFLOW_CHOICES_MAX 10
#define BW_WORKFLOW_VOTERS_MAX 20
#define BW_WORKFLOW_VOTER_BYTES_MAX 100
#define BW_APPROVE_MESSAGE_MAX 16384 /* bytes, also when it is rendered */
#define BW_WORKFLOW_ITEMS_MAX 100000 /* of a foreach; semantics.md 2.5 */
#define BW_WORKFLOW_CONCURRENCY_MAX 1000
#define BW_MARK_SUFFIX "~main"    /* behind it the path of a BW_STEP_MARK ends */
#define BW_WORKFLOW_CALLS_MAX 8   /* runs in runs */
#define BW_WORKFLOW_STEPS_MAX 500 /* blocks included */
#define BW_WORKFLOW_DEPTH_MAX 16  /* blocks in blocks */

/* load.c: all workflows of one YAML text (documents separated by ---). A document with errors is left out and reported in errs with
 * file:line:column and "did you mean"; the good ones of the same file are returned. *out is malloc'd (NULL if none). */
size_t bw_workflow_load(struct bw_slice text, const char *file, struct bw_workflow ***out, struct bw_errors *errs);
/* The same; of each document that is left out it is told what it is called and the first thing that is wrong with it. name: empty when it has none; a
 * file that is no YAML counts as one document. */
typedef void bw_workflow_refused(void *arg, struct bw_slice name, const struct bw_error *why);
size_t bw_workflow_load_all(struct bw_slice text, const char *file, struct bw_workflow ***out, struct bw_errors *errs, bw_workflow_refused *refused,
                            void *arg);
void bw_workflow_free(struct bw_workflow *workflow);
/* doubts.c: what is no error and hardly meant: waits that together are longer than the run may take, steps behind a `stop` without `if`, fields that
 * a step above does not give. */
void bw_workflow_doubts(const struct bw_workflow *workflow, struct bw_errors *doubts);
/* hash.c: the canonical definition (JSON) that the hash is made of. */
void bw_workflow_canonical(const struct bw_workflow *workflow, struct bw_buf *out);
bool bw_workflow_matches(const struct bw_trigger *trigger, struct bw_slice source, struct bw_slice event_name);
bool bw_glob_match(struct bw_slice glob, struct bw_slice name);
#define BW_ENGINE_EVENTS "bellwire."         /* names of events that the engine alone causes begin like that */
bool bw_is_event_name(struct bw_slice name); /* of an event that a workflow may cause */
/* JSON Schema (2020-12) of the language, made from the loader's key tables; engine/workflow/workflow.schema.json holds a copy for editors. */
void bw_workflow_json_schema(struct bw_buf *out);
#endif
