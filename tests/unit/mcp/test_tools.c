/* Tools: their names, what they take, and the pages of their list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mcp/answer.h"
#include <stdio.h>
#include <string.h>

static struct bw_mcp_tools *tools_of(const char *workflows)
{
    json_t *list = json_loads(workflows, 0, NULL);
    struct bw_mcp_tools *tools = bw_mcp_tools_new(list);
    assert_true(list && tools);
    json_decref(list);
    return tools;
}

static void test_names(void **state)
{
    static const char *const good[] = {"a", "get_Order-2", "0"}, *const bad[] = {"", "a b", "a.b", "a/b", "\xc3\xbc", "a\n"};
    char longest[BW_MCP_TOOL_NAME_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(bw_mcp_is_tool_name(bw_slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(bw_mcp_is_tool_name(bw_slice_of(bad[i])));
    for (size_t i = 0; i < sizeof longest; i++) longest[i] = 'x';
    assert_true(bw_mcp_is_tool_name((struct bw_slice){longest, BW_MCP_TOOL_NAME_MAX}));
    assert_false(bw_mcp_is_tool_name((struct bw_slice){longest, BW_MCP_TOOL_NAME_MAX + 1}));
}

static void test_inputs_become_a_json_schema(void **state)
{
    json_t *fields =
        json_loads("{\"n\":{\"type\":\"integer\",\"required\":true,\"min\":1,\"max\":9,\"doc\":\"how \\\"many\\\"\"},"
                   "\"any\":{},\"list\":{\"type\":\"array\",\"max_items\":2,\"items\":{\"type\":\"string\",\"max_length\":3}},"
                   "\"who\":{\"type\":\"object\",\"properties\":{\"mail\":{\"type\":\"string\",\"format\":\"email\",\"required\":true}}},"
                   "\"free\":{\"type\":\"object\",\"default\":{}},\"one\":{\"enum\":[\"a\",1]}}",
                   0, NULL);
    struct bw_buf out = {0};
    (void)state;
    assert_non_null(fields);
    bw_mcp_json_schema(fields, &out);
    assert_string_equal(
        out.data,
        "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"description\":\"how \\\"many\\\"\",\"minimum\":1,\"maximum\":9},"
        "\"any\":{},\"list\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"type\":\"string\",\"maxLength\":3}},"
        "\"who\":{\"type\":\"object\",\"properties\":{\"mail\":{\"type\":\"string\",\"format\":\"email\"}},\"required\":[\"mail\"],"
        "\"additionalProperties\":false},\"free\":{\"type\":\"object\",\"default\":{}},\"one\":{\"enum\":[\"a\",1]}},"
        "\"required\":[\"n\"],\"additionalProperties\":false}");
    json_decref(fields);
    bw_buf_clear(&out);
    bw_mcp_json_schema(NULL, &out);
    assert_string_equal(out.data, "{\"type\":\"object\",\"additionalProperties\":false}");
    bw_buf_free(&out);
}

static void test_arguments_are_held_against_the_inputs_and_stay_as_they_are(void **state)
{
    struct bw_mcp_tools *tools = tools_of("[{\"name\":\"w\",\"tool\":{\"name\":\"t\",\"inputs\":{\"n\":{\"type\":\"integer\",\"default\":4}}}},"
                                          "{\"name\":\"v\",\"tool\":{\"name\":\"bare\"}},{\"name\":\"none\"}]");
    const struct bw_mcp_tool *tool = bw_mcp_tools_find(tools, BW_SLICE("t")), *bare = bw_mcp_tools_find(tools, BW_SLICE("bare"));
    json_t *given = json_object(), *wrong = json_pack("{s:s}", "n", "4");
    struct bw_error err = {0};
    (void)state;
    assert_true(bw_mcp_tools_count(tools) == 2 && bw_slice_is(tool->workflow, "w") && !bw_mcp_tools_find(tools, BW_SLICE("none")));
    assert_true(bw_mcp_tool_takes(tool, given, &err) && bw_mcp_tool_takes(tool, NULL, &err) && bw_mcp_tool_takes(bare, NULL, &err));
    assert_int_equal(json_object_size(given), 0); /* no default was written into it */
    assert_false(bw_mcp_tool_takes(tool, wrong, &err));
    assert_string_equal(err.code, "input.type");
    assert_false(bw_mcp_tool_takes(bare, wrong, &err));
    json_decref(given);
    json_decref(wrong);
    bw_mcp_tools_unref(tools);
}

static size_t page(const struct bw_mcp_tools *tools, struct bw_buf *cursor, struct bw_buf *names)
{
    struct bw_buf out = {0};
    size_t index;
    json_t *tool;
    bw_buf_append_char(&out, '{');
    assert_true(bw_mcp_tools_page(tools, bw_buf_slice(cursor), &out));
    bw_buf_append_char(&out, '}');
    json_t *read = json_loadb(out.data, out.len, 0, NULL);
    assert_non_null(read);
    json_array_foreach(json_object_get(read, "tools"), index, tool) bw_buf_printf(names, "%s,", bw_json_str(tool, "name", "?"));
    bw_buf_clear(cursor);
    bw_buf_append_text(cursor, bw_json_str(read, "nextCursor", ""));
    bw_buf_free(&out);
    json_decref(read);
    return index;
}

static json_t *numbered(size_t count, size_t without)
{
    json_t *list = json_array();
    char name[16];
    for (size_t i = count; i-- > 0;) { /* in no order of theirs */
        snprintf(name, sizeof name, "t%03u", (unsigned)(i % 1000));
        if (i != without) json_array_append_new(list, json_pack("{s:s,s:{s:s}}", "name", name, "tool", "name", name));
    }
    return list;
}

static void test_a_cursor_of_before_a_reload_goes_on_behind_the_same_name(void **state)
{
    json_t *before = numbered(120, 999), *after = numbered(120, 48);
    struct bw_mcp_tools *old = bw_mcp_tools_new(before), *new = bw_mcp_tools_new(after);
    struct bw_buf cursor = {0}, names = {0};
    (void)state;
    assert_int_equal(page(old, &cursor, &names), 50); /* get_run, t000 … t048 */
    assert_true(cursor.len > 0);
    bw_buf_clear(&names);
    assert_int_equal(page(new, &cursor, &names), 50); /* the one that it ended with is gone */
    assert_memory_equal(names.data, "t049,t050,", 10);
    bw_buf_clear(&names);
    assert_int_equal(page(new, &cursor, &names), 21);
    assert_int_equal(cursor.len, 0);
    assert_string_equal(names.data + names.len - 5, "t119,");
    static const char *const strange[] = {
        "!", "====", "YSBi", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        bw_buf_clear(&names);
        assert_false(bw_mcp_tools_page(new, bw_slice_of(strange[i]), &names));
    }
    bw_buf_free(&cursor);
    bw_buf_free(&names);
    bw_mcp_tools_unref(old);
    bw_mcp_tools_unref(new);
    json_decref(before);
    json_decref(after);
}

static void test_hostile_texts_stay_texts(void **state)
{
    struct bw_mcp_tools *tools =
        tools_of("[{\"name\":\"w\",\"tool\":{\"name\":\"t\",\"title\":\"\\\"}]\",\"description\":\"a\\u0001\\\\\\n</script>\"}}]");
    const struct bw_mcp_to to = {.is_of_today = true, .id = BW_SLICE("\"\\\"\"")};
    struct bw_buf out = {0};
    (void)state;
    assert_true(bw_mcp_say_tools(&to, tools, BW_SLICE(""), &out));
    json_t *read = json_loadb(out.data, out.len, 0, NULL);
    const json_t *tool = json_array_get(json_object_get(json_object_get(read, "result"), "tools"), 1);
    assert_string_equal(bw_json_str(tool, "title", ""), "\"}]");
    assert_string_equal(bw_json_str(tool, "description", ""), "a\x01\\\n</script>");
    assert_string_equal(bw_json_str(read, "id", ""), "\"");
    json_decref(read);
    bw_buf_free(&out);
    bw_mcp_tools_unref(tools);
}

static void test_what_a_call_comes_to(void **state)
{
    const struct bw_mcp_to to = {.id = BW_SLICE("1")};
    struct bw_mcp_outcome outcome = {.run = BW_SLICE("run_1"), .tool = BW_SLICE("t"), .status = "active"};
    struct bw_buf out = {0};
    (void)state;
    bw_mcp_say_call(&to, &outcome, &out);
    assert_non_null(strstr(out.data, "get_run with {\\\"run_id\\\": \\\"run_1\\\"}"));
    assert_non_null(strstr(out.data, "\"structuredContent\":{\"run_id\":\"run_1\",\"status\":\"active\",\"is_over\":false},\"isError\":false"));
    outcome = (struct bw_mcp_outcome){.run = BW_SLICE("run_1"),
                                      .tool = BW_SLICE("t"),
                                      .status = "failed",
                                      .is_over = true,
                                      .error = BW_SLICE("{\"code\":\"http.status\",\"message\":\"404\",\"step\":\"ask\"}")};
    bw_buf_clear(&out);
    bw_mcp_say_call(&to, &outcome, &out);
    assert_non_null(strstr(out.data, "t: its run run_1 has failed at the step ask: [http.status] 404"));
    assert_non_null(strstr(out.data, "\"isError\":true"));
    bw_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_inputs_become_a_json_schema),
        cmocka_unit_test(test_arguments_are_held_against_the_inputs_and_stay_as_they_are),
        cmocka_unit_test(test_a_cursor_of_before_a_reload_goes_on_behind_the_same_name),
        cmocka_unit_test(test_hostile_texts_stay_texts),
        cmocka_unit_test(test_what_a_call_comes_to),
    };
    bw_json_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
