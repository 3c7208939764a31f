/* Test files: what may stand in them, and what it means. */
#include "base/file.h"
#include "base/suggest.h"
#include "base/units.h"
#include "trial/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_BYTES_MAX (8u << 20)
#define DATA_BYTES_MAX (16u << 20)
#define CLOCK_MS 1767225600000LL /* 2026-01-01T00:00:00Z: tests that name no time are the same every day */

void bw_trial_error(const struct bw_trial_reader *reader, const struct bw_yaml_node *at, const char *code, const char *hint, const char *format, ...)
{
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct bw_error *err = bw_errors_add(reader->errs, code, "%s", message);
    if (hint) bw_error_hint(err, "%s", hint);
    bw_error_at(err, reader->path, at ? at->line : 1, at ? at->column : 1);
}

bool bw_trial_check_map(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const char *where, const char *known)
{
    const char *names[32];
    char copy[400], hint[300], *save = NULL;
    size_t count = 0, before = reader->errs->count;
    if (node->kind != BW_YAML_MAP) {
        bw_trial_error(reader, node, "test.type", NULL, "%s must be a map, this is %s", where, bw_yaml_kind_name(node->kind));
        return false;
    }
    snprintf(copy, sizeof copy, "%s", known);
    for (char *name = strtok_r(copy, " ", &save); name && count < 32; name = strtok_r(NULL, " ", &save)) names[count++] = name;
    for (size_t i = 0; i < node->count; i++) {
        const struct bw_yaml_node *key = node->pairs[i].key;
        bool is_known = false;
        for (size_t k = 0; k < count; k++) is_known = is_known || bw_slice_is(key->text, names[k]);
        if (is_known) continue;
        const char *near = bw_suggest(key->text, names, count);
        if (near)
            snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        else
            snprintf(hint, sizeof hint, "known are: %s", known);
        bw_trial_error(reader, key, "test.unknown_key", hint, "%s has no key '%s'", where, key->text.ptr);
    }
    return reader->errs->count == before;
}

bool bw_trial_read_duration(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const char *key, int64_t *out_ms)
{
    struct bw_error err;
    if (!node) return true;
    if (node->kind == BW_YAML_STRING && bw_duration_parse(node->text, out_ms, &err)) return true;
    bw_trial_error(reader, node, "test.duration", NULL, "%s must be a duration such as 500ms, 90s, 2h or 30d", key);
    return false;
}

json_t *bw_trial_value(const struct bw_yaml_node *node)
{
    struct bw_buf text = {0};
    bw_yaml_to_json(node, &text);
    json_t *value = bw_json_load(bw_buf_slice(&text), NULL);
    bw_buf_free(&text);
    return value;
}

static bool read_text(const struct bw_trial_reader *reader, const struct bw_yaml_node *map, const char *key, struct bw_slice *out)
{
    const struct bw_yaml_node *node = bw_yaml_get(map, key);
    if (!node) return true;
    *out = node->text;
    if (node->kind != BW_YAML_LIST && node->kind != BW_YAML_MAP && node->kind != BW_YAML_NULL && node->text.len) return true;
    bw_trial_error(reader, node, "test.type", NULL, "%s must be a text, this is %s", key, bw_yaml_kind_name(node->kind));
    return false;
}

static void read_clock(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, int64_t *out_ms)
{
    struct tm tm = {0};
    int used = 0;
    if (!node) return;
    if (node->kind == BW_YAML_STRING &&
        sscanf(node->text.ptr, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) == 6 &&
        used && (size_t)used == node->text.len && tm.tm_year >= 1970 && tm.tm_mon >= 1 && tm.tm_mon <= 12 && tm.tm_mday >= 1 && tm.tm_mday <= 31 &&
        tm.tm_hour < 24 && tm.tm_min < 60 && tm.tm_sec < 60) {
        tm.tm_year -= 1900;
        tm.tm_mon--;
        *out_ms = (int64_t)timegm(&tm) * 1000;
        return;
    }
    bw_trial_error(reader, node, "test.clock", NULL, "clock must be a time in UTC such as 2026-01-01T00:00:00Z");
}

/* malloc'd; NULL: that is no path. */
static char *path_beside(const struct bw_trial_reader *reader, const struct bw_yaml_node *file)
{
    const char *slash = strrchr(reader->path, '/');
    char *folder = bw_slice_dup(slash ? (struct bw_slice){reader->path, (size_t)(slash - reader->path)} : BW_SLICE("."));
    char *path = folder && file->kind == BW_YAML_STRING ? bw_file_join(folder, file->text.ptr) : NULL;
    free(folder);
    return path;
}

/* `data`, or a file beside this one. */
static void read_body(const struct bw_trial_reader *reader, const struct bw_yaml_node *map, struct bw_buf *out)
{
    const struct bw_yaml_node *data = bw_yaml_get(map, "data"), *file = bw_yaml_get(map, "data_file");
    struct bw_error err;
    if (data && file) bw_trial_error(reader, file, "test.data", NULL, "either data or data_file");
    if (data) bw_yaml_to_json(data, out);
    if (!data && !file) bw_buf_append_text(out, "{}");
    if (!file) return;
    char *path = path_beside(reader, file);
    if (!path || !bw_file_read(path, DATA_BYTES_MAX, out, &err))
        bw_trial_error(reader, file, "test.data", NULL, "data_file: %s", path ? err.message : "this is no path");
    free(path);
}

/* What `bellwire runs mocks` has printed, or one has written: a map as `mocks`. */
static void read_recorded(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, struct bw_trial_test *test)
{
    const struct bw_yaml_limits limits = {.bytes = FILE_BYTES_MAX, .nodes = 1000000};
    struct bw_buf text = {0};
    struct bw_error err;
    if (!node) return;
    test->recorded_file = path_beside(reader, node);
    if (!test->recorded_file || !bw_file_read(test->recorded_file, FILE_BYTES_MAX, &text, &err)) {
        bw_trial_error(reader, node, "test.mocks_file", "see: bellwire runs mocks --help", "mocks_file: %s",
                       test->recorded_file ? err.message : "this is no path");
    } else if (!(test->recorded = bw_yaml_load(bw_buf_slice(&text), test->recorded_file, &limits, &err))) {
        bw_errors_push(reader->errs, &err);
    } else {
        const struct bw_trial_reader of_file = {test->recorded_file, reader->errs};
        bw_trial_read_mocks(&of_file, bw_yaml_root(test->recorded, 0), test->mocks);
    }
    bw_buf_free(&text);
}

static void read_headers(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, struct bw_buf *out)
{
    json_t *headers = json_object();
    if (node && node->kind != BW_YAML_MAP) bw_trial_error(reader, node, "test.type", NULL, "headers must be a map");
    for (size_t i = 0; node && node->kind == BW_YAML_MAP && i < node->count; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s", node->pairs[i].key->text.ptr);
        for (char *at = name; *at; at++)
            if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a'); /* as they are kept */
        json_object_set_new(headers, name, json_stringn(node->pairs[i].value->text.ptr, node->pairs[i].value->text.len));
    }
    bw_json_append(out, headers);
    json_decref(headers);
}

/* What comes in by the workflow's own webhook has its name as source, and in front of the event's. */
static bool is_by_webhook(struct bw_slice workflow, struct bw_slice event_name)
{
    return event_name.len > workflow.len && !memcmp(event_name.ptr, workflow.ptr, workflow.len) && event_name.ptr[workflow.len] == '.';
}

static void read_event(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, struct bw_slice workflow, bool is_later,
                       struct bw_trial_event *event)
{
    const struct bw_yaml_node *trusted = bw_yaml_get(node, "trusted"), *after = bw_yaml_get(node, "after");
    event->node = node;
    event->is_trusted = true;
    event->source = BW_SLICE("test");
    if (!bw_trial_check_map(reader, node, is_later ? "an event of events" : "event",
                            is_later ? "after name data data_file headers source trusted" : "name data data_file headers source trusted"))
        return;
    if (!bw_yaml_get(node, "name")) bw_trial_error(reader, node, "test.event", "write for example name: github.push", "an event needs a name");
    read_text(reader, node, "name", &event->name);
    if (is_by_webhook(workflow, event->name)) event->source = workflow;
    read_text(reader, node, "source", &event->source);
    if (trusted && trusted->kind != BW_YAML_BOOL) bw_trial_error(reader, trusted, "test.type", NULL, "trusted must be true or false");
    if (trusted && trusted->kind == BW_YAML_BOOL) event->is_trusted = trusted->boolean;
    bw_trial_read_duration(reader, after, "after", &event->after_ms);
    read_body(reader, node, &event->body);
    read_headers(reader, bw_yaml_get(node, "headers"), &event->headers);
}

static void read_events(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, struct bw_trial_test *test)
{
    if (!node) return;
    if (node->kind != BW_YAML_LIST) {
        bw_trial_error(reader, node, "test.type", NULL, "events must be a list of {after, name, data}");
        return;
    }
    if (!(test->events = calloc(node->count + 1, sizeof *test->events))) return;
    for (size_t i = 0; i < node->count; i++) {
        struct bw_trial_event event = {0};
        size_t at = test->event_count++;
        read_event(reader, node->items[i], test->workflow, true, &event);
        for (; at && test->events[at - 1].after_ms > event.after_ms; at--) test->events[at] = test->events[at - 1];
        test->events[at] = event;
    }
}

/* How it begins: an event that triggers see, or by hand (as `bellwire run`, as a caller) with inputs. */
static void read_beginning(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const struct bw_yaml_node *common,
                           struct bw_trial_test *test)
{
    const struct bw_yaml_node *event = bw_yaml_get(node, "event"), *inputs = bw_yaml_get(node, "inputs");
    if (event && inputs) bw_trial_error(reader, inputs, "test.beginning", NULL, "a test begins with an event or with inputs, not with both");
    if (!event && !inputs) {
        event = bw_yaml_get(common, "event");
        inputs = bw_yaml_get(common, "inputs");
    }
    if (event) {
        read_event(reader, event, test->workflow, false, &test->first);
        return;
    }
    test->first = (struct bw_trial_event){
        .node = inputs ? inputs : node, .name = BW_SLICE("manual"), .source = BW_SLICE("manual"), .workflow = test->workflow, .is_trusted = true};
    bw_buf_append_text(&test->first.headers, "{}");
    if (inputs && inputs->kind != BW_YAML_MAP)
        bw_trial_error(reader, inputs, "test.type", NULL, "inputs must be a map");
    else if (inputs)
        bw_yaml_to_json(inputs, &test->first.body);
    else
        bw_trial_error(reader, node, "test.beginning", "write event: {name: …, data: {…}} or inputs: {…}", "nothing says what the test begins with");
}

static void read_values(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, struct bw_trial_test *test)
{
    if (!node) return;
    if (node->kind != BW_YAML_MAP) {
        bw_trial_error(reader, node, "test.type", "write for example config: {crm_url: https://crm.example}", "config must be a map, this is %s",
                       bw_yaml_kind_name(node->kind));
        return;
    }
    json_t *values = bw_trial_value(node);
    if (!test->values) test->values = json_object();
    json_object_update(test->values, values);
    json_decref(values);
}

static void read_test(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const struct bw_yaml_node *common,
                      struct bw_trial_file *file)
{
    struct bw_trial_test *test = &file->tests[file->test_count++];
    const struct bw_yaml_node *mocks = bw_yaml_get(node, "mocks"), *common_mocks = bw_yaml_get(common, "mocks");
    *test = (struct bw_trial_test){.node = node,
                                   .file = file->path,
                                   .workflow = bw_slice_of(file->workflow),
                                   .clock_ms = CLOCK_MS,
                                   .mocks = json_object(),
                                   .mock_nodes = {mocks, common_mocks},
                                   .expect = bw_yaml_get(node, "expect")};
    if (!bw_trial_check_map(reader, node, "a test", "name workflow event inputs mocks mocks_file config clock until events expect skip")) return;
    if (!bw_yaml_get(node, "name"))
        bw_trial_error(reader, node, "test.name", "write for example name: a push to main is announced", "a test needs a name");
    read_text(reader, node, "name", &test->name);
    read_text(reader, common, "workflow", &test->workflow);
    read_text(reader, node, "workflow", &test->workflow);
    read_text(reader, node, "skip", &test->skip);
    read_clock(reader, bw_yaml_get(common, "clock"), &test->clock_ms);
    read_clock(reader, bw_yaml_get(node, "clock"), &test->clock_ms);
    bw_trial_read_duration(reader, bw_yaml_get(node, "until"), "until", &test->until_ms);
    read_beginning(reader, node, common, test);
    read_events(reader, bw_yaml_get(node, "events"), test);
    read_recorded(reader, bw_yaml_get(node, "mocks_file"), test);
    if (common_mocks) bw_trial_read_mocks(reader, common_mocks, test->mocks);
    if (mocks) bw_trial_read_mocks(reader, mocks, test->mocks);
    read_values(reader, bw_yaml_get(common, "config"), test);
    read_values(reader, bw_yaml_get(node, "config"), test);
    if (test->expect) bw_trial_check_expect(reader, test->expect);
}

/* workflows/hello.test.yaml is about hello. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strchr(name, '.');
    return bw_slice_dup((struct bw_slice){name, dot ? (size_t)(dot - name) : strlen(name)});
}

struct bw_trial_file *bw_trial_file_parse(struct bw_slice text, const char *path, struct bw_errors *errs)
{
    struct bw_trial_file *file = calloc(1, sizeof *file);
    const struct bw_trial_reader reader = {path, errs};
    const struct bw_yaml_limits limits = {.bytes = FILE_BYTES_MAX, .nodes = 1000000};
    size_t before = errs->count;
    struct bw_error err;
    if (!file) return NULL;
    file->path = bw_slice_dup(bw_slice_of(path));
    file->workflow = name_of(path);
    if (!(file->yaml = bw_yaml_load(text, path, &limits, &err))) {
        bw_errors_push(errs, &err);
        goto fail;
    }
    const struct bw_yaml_node *root = bw_yaml_root(file->yaml, 0), *tests = bw_yaml_get(root, "tests");
    if (bw_yaml_count(file->yaml) > 1) bw_trial_error(&reader, bw_yaml_root(file->yaml, 1), "test.documents", NULL, "a test file is one document");
    if (!bw_trial_check_map(&reader, root, "a test file", "workflow clock event inputs mocks config tests")) goto fail;
    if (!tests || tests->kind != BW_YAML_LIST || !tests->count) {
        bw_trial_error(&reader, tests ? tests : root, "test.tests", "write tests: [{name: …, event: {…}, expect: {…}}]",
                       "a test file needs a list of tests");
        goto fail;
    }
    if (!(file->tests = calloc(tests->count, sizeof *file->tests))) goto fail;
    for (size_t i = 0; i < tests->count; i++) read_test(&reader, tests->items[i], root, file);
    if (errs->count == before) return file;
fail:
    bw_trial_file_free(file);
    return NULL;
}

struct bw_trial_file *bw_trial_file_load(const char *path, struct bw_errors *errs)
{
    struct bw_buf text = {0};
    struct bw_error err;
    struct bw_trial_file *file = NULL;
    if (bw_file_read(path, FILE_BYTES_MAX, &text, &err)) {
        file = bw_trial_file_parse(bw_buf_slice(&text), path, errs);
    } else {
        bw_error_at(&err, path, 0, 0);
        bw_errors_push(errs, &err);
    }
    bw_buf_free(&text);
    return file;
}

static void free_event(struct bw_trial_event *event)
{
    bw_buf_free(&event->headers);
    bw_buf_free(&event->body);
}

void bw_trial_file_free(struct bw_trial_file *file)
{
    if (!file) return;
    for (size_t i = 0; i < file->test_count; i++) {
        struct bw_trial_test *test = &file->tests[i];
        free_event(&test->first);
        for (size_t k = 0; k < test->event_count; k++) free_event(&test->events[k]);
        free(test->events);
        json_decref(test->mocks);
        json_decref(test->values);
        bw_yaml_free(test->recorded);
        free(test->recorded_file);
    }
    free(file->tests);
    bw_yaml_free(file->yaml);
    free(file->workflow);
    free(file->path);
    free(file);
}
