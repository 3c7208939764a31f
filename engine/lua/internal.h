/* internal.h: what the files of this room share. One Lua state, one thread. Functions marked [raises] may longjmp with a Lua error and are called
 * only below a protected call; the others never raise. */
#ifndef BW_LUA_INTERNAL_H
#define BW_LUA_INTERNAL_H
#include "base/json_view.h"
#include "lua/script.h"
#include <lauxlib.h>
#include <lua.h>

#define BW_VALUE_DEPTH_MAX 64
#define BW_SCRIPT_RUNS_MAX 10000      /* then the state is made anew… */
#define BW_SCRIPT_LEFT_MAX (4u << 20) /* …as it is when so much was left behind: it would lie there until the state is needed again */

enum bw_lua_mode { BW_MODE_IDLE, BW_MODE_EXPR, BW_MODE_TASK };

struct bw_lua_memory {
    size_t used, cap;
    size_t large;    /* of what is used: in blocks for which a single instruction may take long */
    size_t expr_cap; /* while an expression is evaluated; else 0 */
    bool was_hit, was_expr_hit;
    size_t since_hook;  /* bytes asked for since the last hook */
    size_t large_until; /* up to here the number of instructions until the next hook is right */
    lua_State *running; /* whose hook is brought forward when either is too much */
};
struct bw_step_value {
    enum bw_step_status status;
    struct bw_slice output, error; /* malloc'd */
};
struct bw_script {
    lua_State *L;
    struct bw_lua_memory memory;
    struct bw_script_limits limits;
    const struct bw_workflow *workflow;
    const struct bw_action *const *actions;
    struct bw_run_scope scope;
    struct bw_step_value *steps;
    const struct bw_render *render; /* while a template is rendered */
    struct bw_task *task;           /* the one that runs */
    int *expr_refs, *code_refs;     /* registry references: compiled expressions, inline code or action file of each step */
    int event_ref;                  /* the `event` view of expressions, made on first use from event_text */
    int events_ref;
    struct bw_buf event_text, events_text, workflow_text, run_text; /* what those names are views of */
    struct bw_buf scratch; /* for whoever may not leak when Lua raises; valid until the next call into this room */
    enum bw_lua_mode mode;
    int64_t instructions_left;                /* EXPR */
    int64_t first_look_us, first_look_cpu_us; /* EXPR: 0 = there was none so far */
    bool is_slow;
    int64_t deadline_us, slice_end_us; /* TASK */
    uint64_t uncharged;                /* work in C since the clock was last read */
    bool is_expired, is_spent, is_shared;
    size_t compiled_bytes; /* in use when it was new */
    unsigned runs;
    uint64_t streams; /* that were opened so far */
};
static inline struct bw_script *bw_lua_script(lua_State *L)
{
    return *(struct bw_script **)lua_getextraspace(L);
}

/* state.c */
bool bw_lua_open(struct bw_script *script, const struct bw_script_limits *limits,
                 struct bw_error *err); /* state with libraries, expression and code environments */
void bw_lua_close(struct bw_script *script);
/* Calls fn(L) with `arg` as light userdata, protected; results are left on the stack (nresults). False: err is filled from the Lua error. */
bool bw_lua_protected(struct bw_script *script, lua_CFunction fn, void *arg, int nresults, struct bw_error *err);

/* budget.c */
void bw_budget_install(lua_State *L);
void bw_budget_hurry(lua_State *L); /* the hook comes at the next instruction; safe inside the allocator */
void bw_budget_begin_expr(struct bw_script *script);
void bw_budget_begin_task(struct bw_script *script, int64_t deadline_us);
void bw_budget_end(struct bw_script *script);
/* [raises] Work done inside C, where no hook runs, in units of about one Lua instruction. */
void bw_budget_charge(lua_State *L, uint64_t units);
/* [raises] Before C calls, once of many times, what may be a C function as well: no hook would ever run. */
void bw_budget_look(lua_State *L);
void bw_budget_open(lua_State *L); /* [raises] */

/* failure.c: the error value on top of L is turned into err (may be NULL) and popped; place is where the code begins, for errors that name no
 * line of their own. Never raises. */
struct bw_code_place {
    const char *file;
    int line, column;
    const struct bw_action *action; /* an error may be in one of its modules as well; or NULL */
};
void bw_lua_error(struct bw_script *script, lua_State *L, int status, const struct bw_code_place *place, const char *code, struct bw_error *err);
enum bw_sentinel { BW_SENTINEL_NONE, BW_SENTINEL_EXPIRED, BW_SENTINEL_MEMORY }; /* budget errors: not to be caught by user code */
enum bw_sentinel bw_budget_sentinel(lua_State *L, int index);

/* env.c */
void bw_env_open_libraries(lua_State *L);                 /* [raises] fills the registry with the read-only library tables */
bool bw_env_push_library(lua_State *L, const char *name); /* [raises] math, table, utf8; false: it is none of these */
void bw_env_protect(lua_State *L, lua_CFunction call); /* [raises] the table on top becomes a read-only proxy of itself; call: its __call, or NULL */
void bw_env_push_fresh(lua_State *L);                  /* [raises] an attempt's environment */
extern const char bw_env_expr_key;                     /* registry key of the expressions' environment */
/* budget.c */
int bw_budget_pcall(lua_State *L);
int bw_budget_xpcall(lua_State *L);
/* Around each lua_pcallk() that code of users can nest; [raises] when that is too deep. */
void bw_budget_enter_pcall(lua_State *L);
void bw_budget_leave_pcall(lua_State *L);
int bw_budget_raise_again(lua_State *L, int status); /* [raises], always: what a lua_pcallk() has caught and is not to catch */

/* lib_*.c: the libraries that user code sees, where they are not Lua's own */
extern const luaL_Reg bw_pattern_functions[], bw_table_functions[];
void bw_string_wrap(lua_State *L, int from, int to); /* [raises] from: the real library, to: ours */
void bw_string_wrap_math(lua_State *L, int from, int to);
void bw_string_wrap_utf8(lua_State *L, int from, int to);
void bw_string_wrap_number(lua_State *L, int from, int to); /* tonumber */
int bw_string_tostring(lua_State *L);

/* script.c: as lua_load, text only; Lua's lines are the file's, `line` being that of the source's first. */
#define BW_CHUNK_HEAD "local _ENV = ... " /* what runs again and again shares its function, not its global variables */
int bw_script_compile(lua_State *L, const char *file, int line, const char *before, struct bw_slice source, const char *after);

/* helpers.c: functions of expressions */
struct bw_buf *bw_lua_push_buf(lua_State *L);    /* [raises] a buffer on the stack that dies with the state, whatever is raised meanwhile */
extern const luaL_Reg bw_json_functions[];       /* encode, decode, array */
void bw_helpers_register(lua_State *L, int env); /* [raises] those in C */
bool bw_helpers_load(lua_State *L, int env, const char *name); /* [raises] those in Lua; pushes the one of that name, or false: there is none */

/* value.c */
void bw_value_push_json(lua_State *L, struct bw_json_view view); /* [raises] tables; null in objects is absent, in arrays json.null */
/* [raises] with the path of what cannot be JSON. True: a secret is in it (only where a `with` is rendered). */
bool bw_value_to_json(lua_State *L, int index, struct bw_buf *out);
void bw_value_push_array_metatable(lua_State *L);
bool bw_value_is_array(lua_State *L, int index); /* a table marked as a list, or with elements */
void bw_value_open(lua_State *L);                /* [raises] */
#define BW_LUA_NULL_PUSH(L) lua_pushlightuserdata((L), NULL)
bool bw_value_is_null(lua_State *L, int index);

/* view.c */
void bw_view_open(lua_State *L);                                  /* [raises] */
void bw_view_push(lua_State *L, struct bw_json_view view);        /* [raises] scalars as values, null as nil, containers as read-only views */
const struct bw_json_view *bw_view_test(lua_State *L, int index); /* NULL: no view */

/* secret.c */
void bw_secret_open(lua_State *L);                        /* [raises] */
void bw_secret_push_table(lua_State *L);                  /* [raises] what `secrets` is */
void bw_secret_push(lua_State *L, struct bw_slice value); /* [raises] sealed */
bool bw_secret_test(lua_State *L, int index, struct bw_slice *value);

/* scope.c: the names of expressions */
void bw_scope_open(lua_State *L, int env); /* [raises] */

/* action.c: what `action{…}` is: hands its table through, the file returns it. */
int bw_action_mark(lua_State *L);

/* loader.c: runs fn(L) protected, with `arg` as light userdata, within the time that loading a file may take; code: of errors that say none. */
bool bw_loader_call(struct bw_loader *loader, lua_CFunction fn, void *arg, const struct bw_code_place *place, const char *code, struct bw_error *err);

/* module.c: [raises] adds require() to the environment on top, if the action uses it. */
void bw_module_add_require(lua_State *L, const struct bw_action *action);

int bw_api_print(lua_State *L);
int64_t bw_api_duration_ms(lua_State *L, int index); /* seconds, "2s", a Retry-After header; -1 = none */
/* [raises] when the table at index 1 has another key; "did you mean" */
void bw_api_check_keys(lua_State *L, const char *function, const char *const *known, size_t count);

/* api_http.c */
int bw_api_http(lua_State *L);

extern const luaL_Reg bw_usage_functions[]; /* api_usage.c: begin, finish */
extern const luaL_Reg bw_part_functions[];  /* api_part.c: find, keep, run, offer, ask, call, link */
extern const luaL_Reg bw_cache_functions[]; /* api_cache.c */

/* api_stream.c: the rest of an answer whose head is there. One at a time. */
int bw_stream_add(lua_State *L, struct bw_task *task, int64_t idle_ms); /* [raises] adds read, events and close to the table on top; returns 1 */
void bw_stream_give_up(struct bw_task *task);                           /* it is not read any more; nothing if there is none */

/* api.c: ctx */
int bw_api_raise_transient(lua_State *L, const char *code, const char *message, bool is_transient); /* [raises], always */
void bw_api_refuse_unwanted(lua_State *L, const struct bw_task *task); /* [raises] when the step is not wanted any more */
void bw_api_open(lua_State *L);                                        /* [raises] */
void bw_api_push_ctx(lua_State *L, const struct bw_task *task);        /* [raises] */
/* A value made by ctx.fail, ctx.retry or a failed request? Fills failure. */
bool bw_api_is_failure(lua_State *L, int index, struct bw_task_failure *failure);

/* task.c */
struct bw_task {
    struct bw_script *script;
    struct bw_task_options options;
    struct bw_grant *grants; /* what options.grants points to, with names and values behind it */
    size_t grants_bytes;
    char key[BW_IDEMPOTENCY_KEY_TEXT];
    lua_State *thread;
    int thread_ref;
    int pending_args;                        /* of the first resume */
    bool is_waiting, has_waited, has_answer; /* has_waited: at least once */
    const char *unused_failure;              /* "ctx.fail" or "ctx.retry": made, and neither returned nor raised so far */
    struct bw_task_request request;
    struct bw_http_header *request_headers;
    struct bw_buf request_bytes; /* what request points into */
    struct bw_buf answer_bytes;
    struct bw_http_answer answer;
    struct bw_http_header *answer_headers;
    struct bw_buf output;
    struct bw_task_failure failure;
    struct bw_code_place place;
    uint64_t stream;  /* the number of the answer that is read as it comes; 0: there is none */
    int pcall_depth;  /* how many of its calls are inside of pcall */
    size_t log_bytes; /* written by ctx.log so far */
    size_t memory;    /* of a shared state, that is this task's */
};
void bw_task_log(struct bw_task *task, const char *level, struct bw_slice text); /* capped: a flood must not fill the disk */
#endif
