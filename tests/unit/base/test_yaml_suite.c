#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The public yaml-test-suite, 402 texts: what must be refused, what must load, and to which value. */
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include <stdio.h>
#include <stdlib.h>

/* Invalid by YAML 1.2, but libyaml reads them: stray indentation, comments without a space before '#', tabs, missing document ends.
 * Nothing here changes the meaning of what stands around it. A case that leaves this list is progress: then remove it. */
static const char *const wrongly_accepted[] = {"9C9N", "9JBA", "CVW2", "DK95/01", "EB22", "G5U8",     "MUS6/00", "MUS6/01",
                                               "QB6E", "RHX7", "S98Z", "SU5Z",    "X4QW", "Y79Y/003", "YJV2",    NULL};
/* libyaml reads another value: '?' as the first letter of a flow key (2), white space at the very end of a block scalar (2). */
static const char *const other_value[] = {"652Z", "HM87/01", "JEF9/02", "L24T/01", NULL};
/* Every other valid case either loads to the right value or is refused for one of these reasons, this often. */
static const struct {
    const char *code;
    int count;
} valid_but_refused[] = {{"yaml.anchor", 27}, {"yaml.tag", 32}, {"yaml.key", 13}, {"yaml.syntax", 48}};
#define CASES 402
#define INVALID 94
#define SAME_VALUE 183 /* an empty text counts: the suite's JSON is then empty, ours null */

static char root[512];

static bool is_listed(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0) return true;
    return false;
}

static bool read_part(const char *name, const char *part, struct bw_buf *out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s/%s", root, name, part);
    return bw_file_read(path, 1 << 20, out, NULL);
}

/* Numbers by value: the suite writes 450.00 where we may write 450. */
static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    if (json_is_array(a) && json_is_array(b)) {
        bool same = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; same && i < json_array_size(a); i++) same = is_same(json_array_get(a, i), json_array_get(b, i));
        return same;
    }
    if (json_is_object(a) && json_is_object(b)) {
        bool same = json_object_size(a) == json_object_size(b);
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)a, key, value) same = same && is_same(value, json_object_get(b, key));
        return same;
    }
    return json_equal(a, b);
}

/* in.json holds one value per document, one behind the other; an empty file is a text without any. */
static bool has_value(const struct bw_yaml *yaml, struct bw_slice expected)
{
    bool same = true;
    size_t document = 0;
    struct bw_slice left = expected;
    for (;; document++) {
        while (left.len && strchr(" \r\n\t", left.ptr[0])) left.ptr++, left.len--;
        if (left.len == 0) break;
        struct bw_buf ours = {0};
        json_error_t fault;
        json_t *want = json_loadb(left.ptr, left.len, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &fault);
        assert_non_null(want);
        left = (struct bw_slice){left.ptr + fault.position, left.len - (size_t)fault.position};
        if (document < bw_yaml_count(yaml)) bw_yaml_to_json(bw_yaml_root(yaml, document), &ours);
        json_t *got = json_loadb(bw_buf_slice(&ours).ptr, ours.len, JSON_DECODE_ANY, &fault);
        same = same && got && is_same(got, want);
        json_decref(want);
        json_decref(got);
        bw_buf_free(&ours);
    }
    if (document == 0) return bw_yaml_count(yaml) == 1 && bw_yaml_root(yaml, 0)->kind == BW_YAML_NULL;
    return same && document == bw_yaml_count(yaml);
}

struct tally {
    int invalid, same, accepted, refused[4];
};

static void judge(const char *name, struct tally *tally)
{
    struct bw_buf text = {0}, part = {0};
    struct bw_error err = {0};
    char shown[1200];
    assert_true(read_part(name, "in.yaml", &text));
    struct bw_yaml *yaml = bw_yaml_load(bw_buf_slice(&text), name, NULL, &err);
    bool invalid = read_part(name, "error", &part);
    tally->invalid += invalid;
    if (!yaml && (err.line < 1 || err.column < 1 || !err.message[0])) fail_msg("%s: refused without a place", name);
    if (invalid) {
        if (is_listed(name, wrongly_accepted) != (yaml != NULL)) fail_msg("%s: must be refused", name);
    } else if (!yaml) {
        size_t code = 0;
        while (code < 4 && strcmp(err.code, valid_but_refused[code].code) != 0) code++;
        if (code == 4) fail_msg("%s: %s", name, bw_error_text(&err, shown, sizeof shown));
        tally->refused[code]++;
    } else {
        bw_buf_clear(&part);
        tally->accepted++;
        if (read_part(name, "in.json", &part)) {
            bool same = has_value(yaml, bw_buf_slice(&part));
            if (same == is_listed(name, other_value)) fail_msg("%s: %s", name, same ? "now has the right value" : "has another value");
            tally->same += same;
        }
    }
    bw_yaml_free(yaml);
    bw_buf_free(&text);
    bw_buf_free(&part);
}

static void test_suite_is_judged_as_pinned(void **state)
{
    (void)state;
    char **list;
    size_t count;
    struct bw_error err = {0};
    struct tally tally = {0};
    const char *shared = getenv("BELLWIRE_SHARED");
    snprintf(root, sizeof root, "%s/corpora/yaml", shared ? shared : "../shared");
    assert_true(bw_file_list(root, "in.yaml", true, &list, &count, &err));
    if (count == 0) {
        print_message("no yaml-test-suite in %s\n", root);
        skip();
    }
    assert_int_equal(count, CASES);
    for (size_t i = 0; i < count; i++) {
        list[i][strlen(list[i]) - strlen("/in.yaml")] = '\0';
        judge(list[i], &tally);
    }
    bw_file_list_free(list, count);
    assert_int_equal(tally.invalid, INVALID);
    assert_int_equal(tally.same, SAME_VALUE);
    for (size_t i = 0; i < 4; i++) assert_int_equal(tally.refused[i], valid_but_refused[i].count);
    print_message("%zu cases: %d of %d invalid ones refused, %d valid ones load (%d compared equal)\n", count,
                  tally.invalid - (int)(sizeof wrongly_accepted / sizeof *wrongly_accepted - 1), tally.invalid, tally.accepted, tally.same);
}

static void test_json_keeps_types_and_order(void **state)
{
    (void)state;
    struct bw_buf out = {0};
    struct bw_yaml *yaml = bw_yaml_load(BW_SLICE("z: [1, 0x1f, 0.1, 15e-1, ~, true, 'a\"b']\na: {}\n1: []\ne: \"\\0\"\n"), "", NULL, NULL);
    bw_yaml_to_json(bw_yaml_root(yaml, 0), &out);
    assert_string_equal(out.data, "{\"z\":[1,31,0.1,1.5,null,true,\"a\\\"b\"],\"a\":{},\"1\":[],\"e\":\"\\u0000\"}");
    bw_buf_free(&out);
    bw_yaml_free(yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_json_keeps_types_and_order), cmocka_unit_test(test_suite_is_judged_as_pinned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
