/* The files of tests/corpus against the gate: each request whole, in two pieces cut at every place, and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/gate_reading.h"
#include <stdio.h>
#include <stdlib.h>

static size_t unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        if (*at != '\\') {
            *to++ = *at;
            continue;
        }
        switch (*++at) {
        case 'r': *to++ = '\r'; break;
        case 'n': *to++ = '\n'; break;
        case 't': *to++ = '\t'; break;
        case '\\': *to++ = '\\'; break;
        case 'x': {
            char digits[3] = {at[1], at[1] ? at[2] : '\0', '\0'}, *end;
            *to++ = (char)strtoul(digits, &end, 16);
            if (end != digits + 2) fail_msg("not two hex digits: %s", digits);
            at += 2;
            break;
        }
        default: fail_msg("unknown escape \\%c", *at);
        }
    }
    return (size_t)(to - text);
}

static void check(const char *name, const char *bytes, size_t len, size_t first, size_t rest, bool is_refused, uint64_t completed)
{
    static const unsigned refusals[] = {400, 405, 413, 414, 417, 431, 501, 505};
    struct reading *reading = calloc(1, sizeof *reading);
    assert_non_null(reading);
    feed(reading, bytes, first);
    for (size_t at = first; at < len; at += rest) feed(reading, bytes + at, len - at < rest ? len - at : rest);
    const struct bw_gate *gate = &reading->gate;
    if ((gate->fault != NULL) != is_refused || gate->completed != completed || (!is_refused && gate->state != BW_GATE_IDLE))
        fail_msg("%s, cut at %zu: %s, %llu requests, state %d", name, first, gate->fault ? gate->fault->reason : "passed",
                 (unsigned long long)gate->completed, (int)gate->state);
    bool is_known = !is_refused;
    for (size_t i = 0; is_refused && i < sizeof refusals / sizeof *refusals; i++) is_known = is_known || gate->fault->status == refusals[i];
    if (!is_known) fail_msg("%s is refused with %u", name, gate->fault->status);
    free(reading);
}

struct count {
    unsigned passed, refused, severe;
};

static struct count check_all_of(const char *file_name)
{
    char path[512], line[4096];
    const char *root = getenv("BELLWIRE_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/corpus/%s", root ? root : ".", file_name);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("cannot open %s", path);
    struct count count = {0};
    while (fgets(line, sizeof line, file)) {
        if (*line == '#') continue;
        line[strcspn(line, "\n")] = '\0';
        char *name = strchr(line, '\t'), *text = name ? strchr(name + 1, '\t') : NULL;
        assert_true(name && text);
        *name++ = *text++ = '\0';
        uint64_t completed = (uint64_t)(line[0] - '0');
        bool is_refused = line[1] == '!', is_severe = !strncmp(name, "severe", 6);
        if (is_severe && (!is_refused || completed)) fail_msg("%s has to be refused", name);
        size_t len = unescape(text);
        check(name, text, len, len, 1, is_refused, completed);
        check(name, text, len, 0, 1, is_refused, completed);
        for (size_t cut = 1; cut < len; cut++) check(name, text, len, cut, len, is_refused, completed);
        is_refused ? count.refused++ : count.passed++;
        count.severe += is_severe;
    }
    fclose(file);
    return count;
}

static void test_every_request_has_one_verdict_however_it_comes(void **state)
{
    (void)state;
    struct count own = check_all_of("requests.txt"), desync = check_all_of("desync.txt");
    assert_true(own.passed >= 20 && own.refused >= 74);
    assert_int_equal(desync.severe, 58);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_request_has_one_verdict_however_it_comes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
