/* script_fixture.h: a workflow from YAML text, its script, one run with an event. */
#ifndef SCRIPT_FIXTURE_H
#define SCRIPT_FIXTURE_H
#include "base/clock.h"
#include "lua/script.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct bw_workflow **workflows;
    struct bw_script *script;
    struct bw_errors errs;
};
static const struct bw_script_limits fixture_limits = {.memory_bytes = 16 << 20, .expr_instructions = 100000, .slice_us = 2000};

/* One for all tests of a program: what one file does must not be seen by the next. */
__attribute__((unused)) static struct bw_loader *fixture_loader(void)
{
    static struct bw_loader *loader;
    if (!loader) loader = bw_loader_new(&fixture_limits);
    return loader;
}

__attribute__((unused)) static void fixture_open(struct fixture *fixture, const char *yaml, const struct bw_action *const *actions, const char *body)
{
    char text[1400];
    *fixture = (struct fixture){0};
    size_t count = bw_workflow_load(bw_slice_of(yaml), "test.yaml", &fixture->workflows, &fixture->errs);
    if (count == 1) fixture->script = bw_script_new(fixture->workflows[0], actions, &fixture_limits, &fixture->errs);
    for (size_t i = 0; i < fixture->errs.count; i++) print_error("%s\n", bw_error_text(&fixture->errs.items[i], text, sizeof text));
    if (!fixture->script) return;
    const struct bw_run_scope scope = {.event_body = bw_slice_of(body),
                                       .body_is_json = true,
                                       .event_headers = BW_SLICE("{\"x-a\":\"b\"}"),
                                       .event_id = BW_SLICE("evt_1"),
                                       .event_name = BW_SLICE("github.push"),
                                       .event_source = BW_SLICE("github"),
                                       .run_id = BW_SLICE("run_1")};
    bw_script_begin_run(fixture->script, &scope);
}

__attribute__((unused)) static void fixture_close(struct fixture *fixture)
{
    if (fixture->script) bw_script_end_run(fixture->script);
    bw_script_free(fixture->script);
    if (fixture->workflows && fixture->workflows[0]) bw_workflow_free(fixture->workflows[0]);
    free(fixture->workflows);
    bw_errors_free(&fixture->errs);
}
#endif
