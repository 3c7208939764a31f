/* Expressions: values keep their types, missing things are nil, mistakes are loud and have a place. */
#include "script_fixture.h"

#define ZEROS_50 "00000000000000000000000000000000000000000000000000"
#define ZEROS ZEROS_50 ZEROS_50 ZEROS_50 ZEROS_50 ZEROS_50 ZEROS_50 ZEROS_50 ZEROS_50
#define BODY                                                                                                                                   \
    "{\"n\":1,\"f\":1.5,\"big\":9007199254740993,\"s\":\"t\\u00e9\\n\",\"t\":true,\"nul\":null,\"list\":[3,1,null,2],\"empty\":[],\"obj\":{}," \
    "\"deep\":{\"z\":1,\"a\":{\"b\":[{\"c\":\"x\"}]}},"                                                                                        \
    "\"commits\":[{\"message\":\"one\",\"n\":2},{\"message\":\"two\",\"n\":1}],\"long\":2." ZEROS "}"

static const struct {
    const char *expr, *json; /* json NULL: an error with this code */
    const char *code;
} table[] = {
    {"event.data", BODY, NULL},
    {"event.data.n", "1", NULL},
    {"event.data.f", "1.5", NULL},
    {"event.data.big", "9007199254740993", NULL},
    {"event.data.s", "\"t\xc3\xa9\\n\"", NULL},
    {"event.data.nul", "null", NULL},
    {"event.data.no.such.thing", "null", NULL},
    {"event.data.no.such.thing or 'x'", "\"x\"", NULL},
    {"event.data.empty", "[]", NULL},
    {"event.data.obj", "{}", NULL},
    {"event.data.list[1]", "3", NULL},
    {"event.data.list[0]", NULL, "expr.error"},
    {"event.data.list[9]", "null", NULL},
    {"#event.data.list", "4", NULL},
    {"len(event.data.list)", "4", NULL},
    {"len(nil)", "0", NULL},
    {"len(event.data.deep)", "2", NULL},
    {"event.data.deep.a.b[1].c", "\"x\"", NULL},
    {"event.data.n != 2 && !event.data.missing", "true", NULL},
    {"map(event.data.commits, 'message')", "[\"one\",\"two\"]", NULL},
    {"map(event.data.commits, function(c) return c.n + 1 end)", "[3,2]", NULL},
    {"map({event}, 'data.commits[*].message')", "[\"one\",\"two\"]", NULL},
    {"filter(event.data.commits, function(c) return c.n > 1 end)", "[{\"message\":\"one\",\"n\":2}]", NULL},
    {"join(map(event.data.commits, 'message'), ', ')", "\"one, two\"", NULL},
    {"split('a,b,,c', ',')", "[\"a\",\"b\",\"\",\"c\"]", NULL},
    {"flat({{1, 2}, {3}, 4})", "[1,2,3,4]", NULL},
    {"keys(event.data.deep)", "[\"a\",\"z\"]", NULL},
    {"has(event.data, 'n')", "true", NULL},
    {"contains(event.data.s, 't')", "true", NULL},
    {"contains(event.data.list, 2)", "true", NULL},
    {"lower('AbC') .. upper('x') .. trim('  y ')", "\"abcXy\"", NULL},
    {"truncate('\xc3\xa9\xc3\xa9\xc3\xa9', 2)", "\"\xc3\xa9\xc3\xa9\"", NULL},
    {"default(event.data.nul, 7)", "7", NULL},
    {"sum(map(event.data.commits, 'n'))", "3", NULL},
    {"sort_by(event.data.commits, 'n')[1].message", "\"two\"", NULL},
    {"product({1, 2}, {3})", "[[1,3],[2,3]]", NULL},
    {"parse('{\"a\":[1]}').a[1]", "1", NULL},
    {"json({b = 1, a = {1, 2}})", "\"{\\\"a\\\":[1,2],\\\"b\\\":1}\"", NULL},
    {"list{}", "[]", NULL},
    {"{a = null}", "{\"a\":null}", NULL},
    {"date(0)", "\"1970-01-01T00:00:00.000Z\"", NULL},
    {"date('2026-11-23T12:00:00+02:00', '%H:%M')", "\"10:00\"", NULL},
    {"date('2025-10-09T08:53:20.5Z')", "\"2025-10-09T08:53:20.500Z\"", NULL},
    {"date('2026-02-30T00:00:00Z')", NULL, "expr.error"},
    {"date('2026-11-23T12:00:00Z and more')", NULL, "expr.error"},
    {"fmt('%03d', 7)", "\"007\"", NULL},
    /* lists that helpers have made begin with 1, too */
    {"split('a,b', ',')[0]", NULL, "expr.error"},
    {"map(event.data.commits, 'n')[0]", NULL, "expr.error"},
    {"parse('[1]')[-1]", NULL, "expr.error"},
    {"split('a,b', ',')[3]", "null", NULL},
    /* a null reads as nil wherever it comes from */
    {"map(event.data.list, function(x) return x == nil end)", "[false,false,true,false]", NULL},
    {"map(event.data.list, function(x) return x.no.such or 'x' end)", "[\"x\",\"x\",\"x\",\"x\"]", NULL},
    {"filter(event.data.list, function(x) return x and x > 1 end)", "[3,2]", NULL},
    {"filter(event.data.list, function(x) return not x end)", "[null]", NULL},
    {"sort_by(event.data.list, function(x) return x end)", "[1,2,3,null]", NULL},
    {"map(sort_by({{n = 2}, {i = 1}, {n = 1}, {i = 2}}, 'n'), function(x) return x.n or x.i + 10 end)", "[1,2,11,12]", NULL},
    /* a text of a list is the JSON of its lists and objects, whoever made them */
    {"join(event.data.commits, '; ')", "\"{\\\"message\\\":\\\"one\\\",\\\"n\\\":2}; {\\\"message\\\":\\\"two\\\",\\\"n\\\":1}\"", NULL},
    {"join(product({1}, {'a', true}), '; ')", "\"[1,\\\"a\\\"]; [1,true]\"", NULL},
    {"join({2^53, 0.1 + 0.2, 7, 1.0}, ' ')", "\"9007199254740992.0 0.30000000000000004 7 1.0\"", NULL}, /* and its numbers as they are */
    {"join({0/0}, ' ')", NULL, "expr.error"},
    /* nil for a list, an object, a text */
    {"len(null)", "0", NULL},
    {"map(nil, 'a')", "[]", NULL},
    {"filter(nil, function(x) return x end)", "[]", NULL},
    {"flat(nil)", "[]", NULL},
    {"join(nil, ',')", "\"\"", NULL},
    {"split(nil, ',')", "[]", NULL},
    {"keys(nil)", "[]", NULL},
    {"has(nil, 'a')", "false", NULL},
    {"contains(nil, 1)", "false", NULL},
    {"contains('manila', event.data.nul)", "false", NULL},
    {"contains(event.data.list, nil)", "false", NULL},
    {"lower(nil) or upper(nil) or trim(nil) or truncate(nil, 3) or parse(nil) or date(nil) or 'none'", "\"none\"", NULL},
    {"default(nil, 1) + sum(nil)", "1", NULL},
    {"json(nil)", "\"null\"", NULL},
    {"sort_by(nil, 'a')", "[]", NULL},
    {"product(nil, {1})", "[]", NULL},
    {"lower(null) or upper(null) or trim(null) or truncate(null, 3) or parse(null) or date(null) or 'none'", "\"none\"", NULL},
    {"len(keys(null)) + len(split(null, ','))", "0", NULL},
    {"has(null, 'a') or has('text', 'len')", "false", NULL},
    {"truncate('abc', -2)", "\"\"", NULL},
    /* an object is no list, and says so */
    {"map(event.data.deep, 'b')", NULL, "expr.error"},
    {"filter({a = 1}, function(x) return x end)", NULL, "expr.error"},
    {"sum(event.data.deep)", NULL, "expr.error"},
    {"join(event.data.deep, ',')", NULL, "expr.error"},
    {"flat(event.data.deep)", NULL, "expr.error"},
    {"sort_by(event.data.deep, 'a')", NULL, "expr.error"},
    {"contains(event.data.deep, 'z')", NULL, "expr.error"},
    {"map(event.data.obj, 'a')", "[]", NULL},
    {"map({}, 'a')", "[]", NULL},
    /* times: what cannot be shown is an error, and each is the same everywhere */
    {"date(1e18)", NULL, "expr.error"},
    {"date(0/0)", NULL, "expr.error"},
    {"date(-1/0, '%Y')", NULL, "expr.error"},
    {"date(253402300800000)", NULL, "expr.error"},
    {"date(253402300799999)", "\"9999-12-31T23:59:59.999Z\"", NULL},
    {"date(-1)", "\"1969-12-31T23:59:59.999Z\"", NULL},
    {"date(-1, '%H:%M:%S')", "\"23:59:59\"", NULL},
    {"date(-1.5, '%s') .. date(86399999.9, '%s')", "\"-186399\"", NULL},
    {"len(date(0, '%F ' .. string.rep('x', 900)))", "911", NULL},
    {"date(0, '')", "\"\"", NULL},
    {"date(0, '100%% %-d. %B %Y, %Ey')", "\"100% 1. January 1970, 70\"", NULL},
    {"date(0, '%f')", NULL, "expr.error"},
    {"date(0, '%9999Y')", NULL, "expr.error"},
    {"date(0, '50 %')", NULL, "expr.error"},
    {"date(0, string.rep('x', 2000))", NULL, "expr.error"},
    {"event.name .. ' ' .. event.id", "\"github.push evt_1\"", NULL},
    {"event.headers['x-a']", "\"b\"", NULL},
    {"vars.limit + 1", "4", NULL},
    {"steps.before.x", "5", NULL},
    {"ok('before')", "true", NULL},
    {"status('before')", "\"succeeded\"", NULL},
    {"event.data.n + 'x'", NULL, "expr.error"},
    {"0/0", NULL, "expr.error"},
    {"'a\\0b'", NULL, "expr.error"}, /* JSON with NUL is read nowhere */
    {"{['a\\0b'] = 1}", NULL, "expr.error"},
    {"json('\\0')", NULL, "expr.error"},
    {"event.data.long", "2.0", NULL}, /* a number of 400 digits is one as well */
    {"(function() while true do end end)()", NULL, "expr.budget"},
    {"(function() local s = 'x' for i = 1, 60 do s = s .. s end return s end)()", NULL, "lua.memory"},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fixture fixture;
        struct bw_buf yaml = {0}, out = {0};
        struct bw_error err = {0};
        bw_buf_append_text(
            &yaml,
            "name: t\non: [{manual: true}]\nvars: {limit: 3}\nsteps:\n  - {id: before, set: {x: 5}}\n  - id: s\n    set:\n      v: |-\n        ${{ ");
        bw_buf_append_text(&yaml, table[i].expr);
        bw_buf_append_text(&yaml, " }}\n");
        fixture_open(&fixture, yaml.data, NULL, BODY);
        if (!fixture.script) fail_msg("%s does not compile", table[i].expr);
        assert_true(bw_script_set_step(fixture.script, 0, BW_STATUS_SUCCEEDED, BW_SLICE("{\"x\":5}"), (struct bw_slice){0}, &err));
        bool good = bw_script_render(fixture.script, fixture.workflows[0]->steps[1].set->items[0], &(struct bw_render){0}, &out, &err);
        if (good != (table[i].json != NULL)) fail_msg("%s: %s %s", table[i].expr, good ? "gave" : "failed:", good ? out.data : err.message);
        if (good && strcmp(out.data, table[i].json) != 0) fail_msg("%s: %s, expected %s", table[i].expr, out.data, table[i].json);
        if (!good) {
            if (strcmp(err.code, table[i].code) != 0) fail_msg("%s: %s (%s), expected %s", table[i].expr, err.code, err.message, table[i].code);
            assert_string_equal(err.file, "test.yaml");
            assert_int_equal(err.line, 9);
        }
        bw_buf_free(&out);
        bw_buf_free(&yaml);
        fixture_close(&fixture);
    }
}

static bool condition(const char *expr, bool *answer, struct bw_error *err)
{
    struct fixture fixture;
    char yaml[300];
    snprintf(yaml, sizeof yaml, "name: t\non: [{manual: true}]\nsteps: [{id: s, if: \"%s\", set: {x: 1}}]\n", expr);
    fixture_open(&fixture, yaml, NULL, BODY);
    assert_non_null(fixture.script);
    bool good = bw_script_condition(fixture.script, (uint32_t)fixture.workflows[0]->steps[0].condition, answer, err);
    fixture_close(&fixture);
    return good;
}

static void test_conditions_take_only_booleans(void **state)
{
    struct bw_error err;
    bool answer;
    (void)state;
    assert_true(condition("event.data.n == 1", &answer, &err) && answer);
    assert_true(condition("${{ event.data.t }}", &answer, &err) && answer);
    assert_true(condition("event.data.missing", &answer, &err) && !answer);
    assert_false(condition("event.data.n", &answer, &err));
    assert_string_equal(err.code, "expr.not_boolean");
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 22);
    assert_false(condition("'false'", &answer, &err));
}

static bool render(const char *with, const struct bw_render *options, struct bw_buf *out, struct bw_error *err)
{
    struct fixture fixture;
    char yaml[600];
    snprintf(yaml, sizeof yaml, "name: t\non: [{manual: true}]\nsecrets: [KEY]\nsteps:\n  - id: s\n    lua: return {}\n    with: %s\n", with);
    fixture_open(&fixture, yaml, NULL, BODY);
    assert_non_null(fixture.script);
    bool good = bw_script_render(fixture.script, fixture.workflows[0]->steps[0].with, options, out, err);
    fixture_close(&fixture);
    return good;
}

static void test_text_and_whole_values(void **state)
{
    struct bw_buf out = {0};
    struct bw_error err;
    const struct bw_render none = {0};
    (void)state;
    assert_true(render("{a: \"n ${{ event.data.n }} f ${{ event.data.f }} t ${{ event.data.t }}\", b: \"${{ event.data.missing }}\", c: [1, \"${{ "
                       "event.data.nul }}\"], d: plain}",
                       &none, &out, &err));
    assert_string_equal(out.data, "{\"a\":\"n 1 f 1.5 t true\",\"c\":[1,null],\"d\":\"plain\"}");
    bw_buf_clear(&out);
    assert_false(render("{a: \"x ${{ event.data.missing }}\"}", &none, &out, &err));
    assert_non_null(strstr(err.message, "or \"\""));
    assert_false(render("{a: \"x ${{ event.data.list }}\"}", &none, &out, &err));
    assert_non_null(strstr(err.message, "json("));
    assert_false(render("{a: \"x ${{ null }}\"}", &none, &out, &err));
    assert_non_null(strstr(err.message, "null cannot stand inside text: write `default("));
    assert_false(render("{a: \"x ${{ event.data.n / 0 }}\"}", &none, &out, &err));
    assert_non_null(strstr(err.message, "not finite"));
    assert_false(render("{a: {b: \"x ${{ 'a\\\\0b' }}\"}}", &none, &out, &err));
    assert_non_null(strstr(err.message, "NUL"));
    assert_false(render("{a: \"${{ {b = {'x', 'a\\\\0b'}} }}\"}", &none, &out, &err));
    assert_non_null(strstr(err.message, "NUL at b[2]"));
    bw_buf_free(&out);
}

/* Any JSON, compact, from a seed: nulls, [] and {}, integers of 64 bits, members in any order. */
static void append_value(struct bw_buf *out, uint32_t *seed, int depth)
{
    static const char *const plain[] = {"null",
                                        "true",
                                        "false",
                                        "0",
                                        "-1",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9007199254740993",
                                        "1.5",
                                        "-0.25",
                                        "1e+300",
                                        "\"\"",
                                        "\"text\"",
                                        "\"a \\\"quote\\\" and \\\\\"",
                                        "\"\\n\"",
                                        "\"äöü\"",
                                        "[]",
                                        "{}"};
    const uint32_t dice = (*seed = *seed * 1664525 + 1013904223) >> 8, count = dice / 64 % 5;
    if (depth == 0 || dice % 3 == 0) {
        bw_buf_append_text(out, plain[dice / 3 % (sizeof plain / sizeof *plain)]);
        return;
    }
    bool is_list = dice % 3 == 1;
    bw_buf_append_char(out, is_list ? '[' : '{');
    for (uint32_t i = 0; i < count; i++) {
        if (i) bw_buf_append_char(out, ',');
        if (!is_list) bw_buf_printf(out, "\"k%u\":", (dice + 7 * i) % 10); /* no two are the same */
        append_value(out, seed, depth - 1);
    }
    bw_buf_append_char(out, is_list ? ']' : '}');
}

/* What is evaluated once more, after a crash or elsewhere, gives the same bytes: each time here is a script of its own, with hashes of its own. */
static void test_any_value_passes_whole_and_the_same_each_time(void **state)
{
    static const char yaml[] =
        "name: t\non: [{manual: true}]\nsteps:\n  - id: s\n    lua: return {}\n"
        "    with: {whole: [\"${{ event.data.v }}\"], made: \"${{ {zeta = 1, alpha = event.data.v, mid = {c = 1, b = 2, a = 3, "
        "d = 4, f = 5, e = list{}}, [\\\"9\\\"] = json(event.data.v)} }}\"}\n";
    const struct bw_render none = {0};
    (void)state;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        struct bw_buf value = {0}, body = {0}, wanted = {0}, first = {0};
        uint32_t from = seed * 7919;
        append_value(&value, &from, 4);
        bw_buf_printf(&body, "{\"v\":%.*s}", (int)value.len, value.data);
        bw_buf_printf(&wanted, "{\"whole\":[%.*s],", (int)value.len, value.data);
        for (int time = 0; time < 3; time++) {
            struct fixture fixture;
            struct bw_buf out = {0};
            struct bw_error err = {0};
            fixture_open(&fixture, yaml, NULL, body.data);
            assert_non_null(fixture.script);
            if (!bw_script_render(fixture.script, fixture.workflows[0]->steps[0].with, &none, &out, &err)) fail_msg("%s: %s", body.data, err.message);
            if (strncmp(out.data, wanted.data, wanted.len) != 0) fail_msg("%s became %s", body.data, out.data);
            if (time == 0)
                bw_buf_append(&first, out.data, out.len);
            else if (out.len != first.len || memcmp(out.data, first.data, out.len) != 0)
                fail_msg("first %s, then %s", first.data, out.data);
            bw_buf_free(&out);
            fixture_close(&fixture);
        }
        bw_buf_free(&first);
        bw_buf_free(&wanted);
        bw_buf_free(&body);
        bw_buf_free(&value);
    }
}

static void test_secrets_are_sealed(void **state)
{
    const struct bw_grant grant = {BW_SLICE("KEY"), BW_SLICE("hunter2hunter2")};
    const struct bw_render granted = {.grants = &grant, .grant_count = 1, .allow_secrets = true}, ungranted = {.allow_secrets = true};
    struct bw_buf out = {0};
    struct bw_error err;
    (void)state;
    assert_true(render("{a: \"Bearer ${{ secrets.KEY }}\", b: \"${{ 'x' .. secrets.KEY }}\"}", &granted, &out, &err));
    assert_string_equal(out.data, "{\"a\":\"Bearer hunter2hunter2\",\"b\":\"xhunter2hunter2\"}");
    bw_buf_clear(&out);
    assert_true(render("{a: \"${{ json({t = secrets.KEY}) }}\", b: \"${{ '<' .. json(secrets.KEY) }}\"}", &granted, &out, &err));
    assert_string_equal(out.data, "{\"a\":\"{\\\"t\\\":\\\"hunter2hunter2\\\"}\",\"b\":\"<\\\"hunter2hunter2\\\"\"}");
    static const char *const misuse[] = {"{a: \"${{ #secrets.KEY }}\"}",           "{a: \"${{ tostring(secrets.KEY) }}\"}",
                                         "{a: \"${{ lower(secrets.KEY) }}\"}",     "{a: \"${{ secrets.KEY < 'x' }}\"}",
                                         "{a: \"${{ #json(secrets.KEY) }}\"}",     "{a: \"${{ json({secrets.KEY}):sub(3, 5) }}\"}",
                                         "{a: \"${{ fmt('%s', secrets.KEY) }}\"}", "{a: \"${{ join({secrets.KEY}, '') }}\"}"};
    for (size_t i = 0; i < sizeof misuse / sizeof *misuse; i++) {
        bw_buf_clear(&out);
        if (render(misuse[i], &granted, &out, &err)) fail_msg("%s gave %s", misuse[i], out.data);
    }
    assert_false(render("{a: \"${{ secrets.KEY }}\"}", &ungranted, &out, &err));
    bw_buf_free(&out);
}

static void test_syntax_errors_have_the_files_place(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(
        &fixture,
        "name: t\non: [{manual: true}]\nsteps:\n  - id: s\n    set: {x: \"${{ 1 + }}\"}\n  - id: l\n    lua: |\n      local a = 1\n      retrun a\n",
        NULL, "{}");
    assert_null(fixture.script);
    assert_int_equal(fixture.errs.count, 2);
    assert_string_equal(fixture.errs.items[0].code, "expr.syntax");
    assert_int_equal(fixture.errs.items[0].line, 5);
    assert_string_equal(fixture.errs.items[1].code, "lua.syntax");
    assert_int_equal(fixture.errs.items[1].line, 9);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_conditions_take_only_booleans),
        cmocka_unit_test(test_text_and_whole_values),
        cmocka_unit_test(test_any_value_passes_whole_and_the_same_each_time),
        cmocka_unit_test(test_secrets_are_sealed),
        cmocka_unit_test(test_syntax_errors_have_the_files_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
