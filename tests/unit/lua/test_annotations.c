/* engine/lua/bellwire.lua says what user code can call: it must name everything that is there, and nothing that is not. */
#include "base/file.h"
#include "lua/internal.h"
#include "script_fixture.h"
#include "workflow/names.h"

#define NAMES_MAX 400
#define NAME_BYTES 64

struct names {
    char items[NAMES_MAX][NAME_BYTES];
    size_t count;
};

static bool has(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->items[i], name)) return true;
    return false;
}

static void add(struct names *names, const char *prefix, struct bw_slice name)
{
    assert_true(names->count < NAMES_MAX && strlen(prefix) + name.len < NAME_BYTES);
    snprintf(names->items[names->count++], NAME_BYTES, "%s%.*s", prefix, (int)name.len, name.ptr);
}

/* ---- what the file says ---- */

struct annotations {
    struct names defined;    /* of code: "ctx.http", "string.rep" */
    struct names stock;      /* "same as in Lua 5.4" */
    struct names absent;     /* "not there" */
    struct names expression; /* helpers, without "expression." */
    struct names shared;     /* "also in expressions" */
};

static void add_words(struct names *names, struct bw_slice text)
{
    while (text.len) {
        const char *space = memchr(text.ptr, ' ', text.len);
        size_t len = space ? (size_t)(space - text.ptr) : text.len;
        if (len) add(names, "", (struct bw_slice){text.ptr, len});
        text = (struct bw_slice){text.ptr + len + !!space, text.len - len - !!space};
    }
}

static void read_line(struct annotations *file, struct bw_slice line)
{
    static const char function[] = "function ", expression[] = "expression.";
    struct {
        const char *start;
        struct names *names;
    } lists[] = {{"-- same as in Lua 5.4: ", &file->stock},
                 {"-- not there, calling or indexing says so: ", &file->absent},
                 {"-- not there: ", &file->absent},
                 {"-- also in expressions: ", &file->shared}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t len = strlen(lists[i].start);
        if (line.len < len || memcmp(line.ptr, lists[i].start, len) != 0) continue;
        add_words(lists[i].names, (struct bw_slice){line.ptr + len, line.len - len});
        return;
    }
    if (!line.len || *line.ptr < 'a' || *line.ptr > 'z' || (line.len > 6 && !memcmp(line.ptr, "local ", 6))) return;
    if (line.len > strlen(function) && !memcmp(line.ptr, function, strlen(function)))
        line = (struct bw_slice){line.ptr + strlen(function), line.len - strlen(function)};
    const char *end = line.ptr;
    while (end < line.ptr + line.len && *end != '(' && *end != ' ') end++;
    line.len = (size_t)(end - line.ptr);
    if (line.len > strlen(expression) && !memcmp(line.ptr, expression, strlen(expression)))
        add(&file->expression, "", (struct bw_slice){line.ptr + strlen(expression), line.len - strlen(expression)});
    else
        add(&file->defined, "", line);
}

static void read_file(struct annotations *file)
{
    struct bw_buf text = {0};
    struct bw_error err;
    const char *root = getenv("BELLWIRE_SOURCE_DIR");
    char *path = bw_file_join(root ? root : ".", "engine/lua/bellwire.lua");
    if (!bw_file_read(path, 1 << 20, &text, &err)) fail_msg("%s: %s", path, err.message);
    for (struct bw_slice rest = bw_buf_slice(&text); rest.len;) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        read_line(file, (struct bw_slice){rest.ptr, len});
        rest = (struct bw_slice){rest.ptr + len + !!end, rest.len - len - !!end};
    }
    assert_true(file->defined.count > 40 && file->stock.count > 40 && file->expression.count > 20);
    bw_buf_free(&text);
    free(path);
}

/* ---- what is there ---- */

/* The string keys of the table on top and, through __index, of the tables behind it; pops it. Tables below get one level of their own. */
static void collect(lua_State *L, const char *prefix, struct names *out)
{
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct bw_slice name;
        char inner[NAME_BYTES];
        assert_int_equal(lua_type(L, -2), LUA_TSTRING);
        name.ptr = lua_tolstring(L, -2, &name.len);
        add(out, prefix, name);
        if (lua_type(L, -1) != LUA_TTABLE) continue;
        snprintf(inner, sizeof inner, "%s%s.", prefix, name.ptr);
        lua_pushvalue(L, -1);
        collect(L, inner, out);
    }
    if (lua_getmetatable(L, table)) {
        if (lua_getfield(L, -1, "__index") == LUA_TTABLE)
            collect(L, prefix, out);
        else
            lua_pop(L, 1);
        lua_pop(L, 1);
    }
    lua_settop(L, table - 1);
}

/* Most things come into their table when they are asked for: the table on top is asked for what is written down. */
static void ask_for(lua_State *L, const struct names *written, const char *prefix)
{
    for (size_t i = 0; i < written->count; i++) {
        const char *name = written->items[i];
        char first[NAME_BYTES];
        if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
        snprintf(first, sizeof first, "%.*s", (int)strcspn(name + strlen(prefix), "."), name + strlen(prefix));
        lua_getfield(L, -1, first);
        lua_pop(L, 1);
    }
}

static const char workflow[] = "name: t\non: [{manual: true}]\nsteps: [{id: a, lua: 'return {}'}]\n";

static int get_field(lua_State *L)
{
    lua_gettable(L, 1);
    return 0;
}

static void open_script(struct fixture *fixture, struct bw_task **task)
{
    struct bw_error err;
    fixture_open(fixture, workflow, (const struct bw_action *const[]){NULL}, "{}");
    assert_non_null(fixture->script);
    *task = bw_task_new(fixture->script,
                        &(struct bw_task_options){.input = BW_SLICE("{}"), .idempotency_key = "k", .attempt = 1, .config = BW_SLICE("{}")}, &err);
    assert_non_null(*task);
}

static void check(const struct names *are_there, const struct names *first, const struct names *second, const struct names *third, const char *what)
{
    size_t wrong = 0;
    for (size_t i = 0; i < are_there->count; i++) {
        const char *name = are_there->items[i];
        if (has(first, name) || has(second, name) || has(third, name)) continue;
        print_error("%s: %s\n", what, name);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void test_everything_that_code_sees_is_written_down_and_the_other_way_round(void **state)
{
    (void)state;
    static struct annotations file;
    static struct names code;
    const struct names none = {.count = 0}, given = {{"ctx", "input", "action", "require"}, 4}; /* arguments, and the environment of action files */
    struct fixture fixture;
    struct bw_task *task;
    memset(&file, 0, sizeof file);
    read_file(&file);
    open_script(&fixture, &task);
    bw_env_push_fresh(fixture.script->L);
    ask_for(fixture.script->L, &file.defined, "");
    ask_for(fixture.script->L, &file.stock, "");
    collect(fixture.script->L, "", &code);
    bw_api_push_ctx(fixture.script->L, task);
    ask_for(fixture.script->L, &file.defined, "ctx.");
    collect(fixture.script->L, "ctx.", &code);
    assert_true(has(&code, "ctx.http") && has(&code, "ctx.log.debug") && has(&code, "ctx.attempt") && has(&code, "string.rep")); /* it looked deep */
    check(&code, &file.defined, &file.stock, &file.absent, "not in engine/lua/bellwire.lua");
    check(&file.defined, &code, &given, &none, "in engine/lua/bellwire.lua, but nowhere else");
    check(&file.stock, &code, &none, &none, "in engine/lua/bellwire.lua, but nowhere else");
    for (size_t i = 0; i < file.absent.count; i++) assert_false(has(&file.defined, file.absent.items[i]) || has(&file.stock, file.absent.items[i]));
    bw_task_free(task);
    fixture_close(&fixture);
}

static void test_every_helper_of_expressions_is_written_down_and_the_other_way_round(void **state)
{
    (void)state;
    static struct annotations file;
    static struct names helpers;
    const struct names none = {.count = 0};
    struct fixture fixture;
    struct bw_task *task;
    memset(&file, 0, sizeof file);
    read_file(&file);
    open_script(&fixture, &task);
    lua_State *L = fixture.script->L;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &bw_env_expr_key);
    assert_true(lua_getmetatable(L, -1));
    assert_int_equal(lua_getfield(L, -1, "__index"), LUA_TTABLE);
    ask_for(L, &file.expression, "");
    ask_for(L, &file.shared, "");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) add(&helpers, "", bw_slice_of(lua_tostring(L, -2)));
    lua_settop(L, 0);
    check(&helpers, &file.expression, &file.shared, &none, "a helper that is not in engine/lua/bellwire.lua");
    check(&file.expression, &helpers, &none, &none, "in engine/lua/bellwire.lua, but no helper");
    check(&file.shared, &helpers, &none, &none, "in engine/lua/bellwire.lua, but not in expressions");
    bw_task_free(task);
    fixture_close(&fixture);
}

/* What the loader lets pass, expressions know, and the other way round. */
static void test_the_loader_knows_the_names_of_expressions(void **state)
{
    (void)state;
    static struct annotations file;
    struct fixture fixture;
    struct bw_task *task;
    memset(&file, 0, sizeof file);
    read_file(&file);
    open_script(&fixture, &task);
    lua_State *L = fixture.script->L;
    for (size_t i = 0; i < file.expression.count + file.shared.count; i++) {
        const char *name = i < file.expression.count ? file.expression.items[i] : file.shared.items[i - file.expression.count];
        if (!bw_expr_knows(bw_slice_of(name))) fail_msg("the loader does not know %s", name);
    }
    for (size_t i = 0; i < bw_expr_name_count; i++) {
        bool needs_more = !strcmp(bw_expr_names[i], "events") || !strcmp(bw_expr_names[i], "step"); /* `collect`, an attempt */
        lua_rawgetp(L, LUA_REGISTRYINDEX, &bw_env_expr_key);
        lua_pushcfunction(L, get_field);
        lua_insert(L, -2);
        lua_pushstring(L, bw_expr_names[i]);
        bool is_there = lua_pcall(L, 2, 0, 0) == LUA_OK || !strstr(lua_tostring(L, -1), "unknown name");
        if (!is_there && !needs_more) fail_msg("expressions do not know %s", bw_expr_names[i]);
        lua_settop(L, 0);
    }
    bw_task_free(task);
    fixture_close(&fixture);
}

/* What is said not to be there: nil, or something that refuses by name. */
static void test_what_is_not_there_says_so(void **state)
{
    (void)state;
    static struct annotations file;
    struct fixture fixture;
    struct bw_task *task;
    memset(&file, 0, sizeof file);
    read_file(&file);
    open_script(&fixture, &task);
    lua_State *L = fixture.script->L;
    for (size_t i = 0; i < file.absent.count; i++) {
        char *name = file.absent.items[i], *dot = strchr(name, '.');
        bw_env_push_fresh(L);
        if (dot) *dot = '\0';
        int type = lua_getfield(L, -1, name);
        if (dot) type = lua_getfield(L, -1, dot + 1);
        if (type == LUA_TTABLE) {
            lua_pushliteral(L, "x");
            assert_true(luaL_getmetafield(L, -2, "__index") == LUA_TFUNCTION);
            lua_pushvalue(L, -3);
            lua_pushliteral(L, "x");
            assert_int_equal(lua_pcall(L, 2, 1, 0), LUA_ERRRUN);
        } else if (type == LUA_TFUNCTION) {
            assert_int_equal(lua_pcall(L, 0, 1, 0), LUA_ERRRUN);
        }
        if (type != LUA_TNIL && !strstr(lua_tostring(L, -1), "is not available in Bellwire")) fail_msg("%s: %s", name, lua_tostring(L, -1));
        lua_settop(L, 0);
    }
    bw_task_free(task);
    fixture_close(&fixture);
}

static void test_an_action_as_annotated_loads(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_action *action =
        bw_action_load(fixture_loader(),
                       BW_SLICE("return action{name = 'a/b', version = '1.0.0', doc = 'd', inputs = {}, outputs = {}, secrets = {'S'},"
                                " effect = 'none', timeout = '30s', heartbeat = '5s', retry = {attempts = 2}, limit = 'x', run = function() end}"),
                       "a.lua", NULL, 0, &err);
    if (!action) fail_msg("%s", err.message);
    bw_action_free(action);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_that_code_sees_is_written_down_and_the_other_way_round),
        cmocka_unit_test(test_every_helper_of_expressions_is_written_down_and_the_other_way_round),
        cmocka_unit_test(test_the_loader_knows_the_names_of_expressions),
        cmocka_unit_test(test_what_is_not_there_says_so),
        cmocka_unit_test(test_an_action_as_annotated_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
