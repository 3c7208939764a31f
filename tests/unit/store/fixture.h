/* fixture.h: a data folder of its own for each test, and operations filled with plausible content. Header-only: included once per test. */
#ifndef BW_TEST_STORE_FIXTURE_H
#define BW_TEST_STORE_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

__attribute__((unused)) static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/bellwire-store-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

__attribute__((unused)) static int remove_folder(void **state)
{
    static const char *const names[] = {"bellwire.db", "bellwire.db-wal", "bellwire.db-shm", "bellwire.db-journal", "lock", "reserve"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* The same uid for the same number. */
__attribute__((unused)) static struct bw_uid uid_of(uint32_t number)
{
    struct bw_uid uid = {{1}};
    for (int i = 0; i < 4; i++) uid.bytes[12 + i] = (uint8_t)(number >> 8 * (3 - i));
    return uid;
}

__attribute__((unused)) static struct bw_store_op accept_op(uint32_t number, const char *key)
{
    struct bw_slice body = BW_SLICE("{\"ref\":\"refs/heads/main\"}");
    return (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .delivery = {.at_ms = 1000, .source = BW_SLICE("github"), .status = 202, .provider_id = BW_SLICE("d-1"), .bytes = (uint32_t)body.len},
        .event = {.uid = uid_of(number),
                  .at_ms = 1000,
                  .revision = 1,
                  .source = BW_SLICE("github"),
                  .name = BW_SLICE("github.push"),
                  .trusted = true,
                  .headers = BW_SLICE("{\"x-github-event\":\"push\"}"),
                  .body = body,
                  .dedupe_key = bw_slice_of(key),
                  .dedupe_expire_ms = 2000},
    };
}

__attribute__((unused)) static struct bw_store_op refused_op(const char *source, int64_t at_ms, enum bw_outcome outcome)
{
    return (struct bw_store_op){
        .kind = BW_OP_DELIVERY,
        .delivery = {.at_ms = at_ms, .source = bw_slice_of(source), .status = 401, .outcome = outcome, .detail = BW_SLICE("signature mismatch")}};
}

#define assert_no_error(ok, err)                                   \
    do {                                                           \
        if (!(ok)) fail_msg("%s [%s]", (err).message, (err).code); \
    } while (0)

__attribute__((unused)) static struct bw_store *open_store(void)
{
    struct bw_error err = {0};
    struct bw_store *store = bw_store_open(folder, &err);
    assert_no_error(store, err);
    return store;
}

__attribute__((unused)) static struct bw_reader *open_reader(void)
{
    struct bw_error err = {0};
    struct bw_reader *reader = bw_reader_open(folder, &err);
    assert_no_error(reader, err);
    return reader;
}

__attribute__((unused)) static void submit(struct bw_store *store, struct bw_store_op *op)
{
    struct bw_error err = {0};
    assert_no_error(bw_store_submit_wait(store, op, &err), err);
}

#define assert_slice(slice, text)                                                                            \
    do {                                                                                                     \
        struct bw_slice got = (slice);                                                                       \
        if (!bw_slice_is(got, (text))) fail_msg("got '%.*s', expected '%s'", (int)got.len, got.ptr, (text)); \
    } while (0)
#endif
