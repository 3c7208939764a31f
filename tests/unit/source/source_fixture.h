/* source_fixture.h: a source from a few words, a request from "name: value" lines, and what the judge says of it. */
#ifndef SOURCE_FIXTURE_H
#define SOURCE_FIXTURE_H
#include "base/codec.h"
#include "source/source.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NOW_S 1760000000LL
#define NOW_MS (NOW_S * 1000)
#define FIXTURE_SECRETS 4
#define FIXTURE_VALUES 20

/* Set the fields that a test needs, then open. */
struct fixture {
    struct bw_source_config config;
    struct bw_secret secrets[FIXTURE_SECRETS];
    struct bw_slice values[FIXTURE_SECRETS][FIXTURE_VALUES];
    char *options[12];
    struct bw_schemes *schemes;
    struct bw_source *source;
    struct bw_errors errs;
};

__attribute__((unused)) static void add_secret(struct fixture *fixture, const char *name, struct bw_slice value)
{
    size_t i = 0;
    while (i < fixture->config.secret_count && strcmp(fixture->secrets[i].name, name) != 0) i++;
    if (i == fixture->config.secret_count) {
        fixture->secrets[i] = (struct bw_secret){(char *)(uintptr_t)name, fixture->values[i], 0};
        fixture->config.secret_count++;
    }
    assert_true(fixture->secrets[i].count < FIXTURE_VALUES);
    fixture->values[i][fixture->secrets[i].count++] = value;
}

__attribute__((unused)) static void add_option(struct fixture *fixture, const char *text)
{
    assert_true(fixture->config.option_count < COUNT(fixture->options));
    fixture->options[fixture->config.option_count++] = (char *)(uintptr_t)text;
}

/* folder: the user's schemes, or NULL. False: fixture->errs says why. */
__attribute__((unused)) static bool try_open(struct fixture *fixture, const char *scheme, const char *folder)
{
    fixture->config.name = (char *)(uintptr_t) "test";
    fixture->config.path = (char *)(uintptr_t) "/in/test";
    fixture->config.verify = (char *)(uintptr_t)scheme;
    fixture->config.secrets = fixture->secrets;
    fixture->config.options = fixture->options;
    fixture->config.file = "bellwire.yaml";
    if (!fixture->config.public_url) fixture->config.public_url = (char *)(uintptr_t) "https://bellwire.example/in/test";
    fixture->config.line = 7;
    fixture->config.column = 3;
    fixture->schemes = bw_schemes_load(folder, &fixture->errs);
    if (!fixture->errs.count) fixture->source = bw_source_new(&fixture->config, fixture->schemes, &fixture->errs);
    return fixture->source != NULL;
}

__attribute__((unused)) static void open_source(struct fixture *fixture, const char *scheme)
{
    char text[1400];
    if (!try_open(fixture, scheme, NULL)) fail_msg("%s", bw_error_text(&fixture->errs.items[0], text, sizeof text));
}

__attribute__((unused)) static void close_source(struct fixture *fixture)
{
    bw_source_free(fixture->source);
    bw_schemes_free(fixture->schemes);
    bw_errors_free(&fixture->errs);
}

/* Lines "name: value\n"; the request borrows them. */
struct lines {
    struct bw_header headers[64];
    size_t count;
};

__attribute__((unused)) static void split_lines(struct lines *lines, struct bw_slice text)
{
    lines->count = 0;
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len), *colon = memchr(text.ptr, ':', text.len);
        assert_true(end && colon && colon < end && colon[1] == ' ' && lines->count < COUNT(lines->headers));
        lines->headers[lines->count++] = (struct bw_header){{text.ptr, (size_t)(colon - text.ptr)}, {colon + 2, (size_t)(end - colon) - 2}};
        text = (struct bw_slice){end + 1, text.len - (size_t)(end + 1 - text.ptr)};
    }
}

/* The verdict for a POST of `body` with these header lines, judged at now_ms. */
__attribute__((unused)) static struct bw_judgement judge_at(const struct bw_source *source, struct bw_slice lines_text, struct bw_slice body,
                                                            int64_t now_ms, struct bw_buf *scratch)
{
    struct lines lines;
    struct bw_judgement out;
    split_lines(&lines, lines_text);
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = BW_SLICE("https://bellwire.example/in/test"),
                                       .query = BW_SLICE(""),
                                       .headers = lines.headers,
                                       .header_count = lines.count,
                                       .body = body,
                                       .now_ms = now_ms};
    bw_source_judge(source, &request, scratch, &out);
    return out;
}

__attribute__((unused)) static void assert_verdict_at(const struct fixture *fixture, const char *lines, const char *body, int64_t now_ms,
                                                      enum bw_verdict verdict, const char *reason)
{
    struct bw_buf scratch = {0};
    const struct bw_judgement got = judge_at(fixture->source, bw_slice_of(lines), bw_slice_of(body), now_ms, &scratch);
    if (got.verdict != verdict || (reason && strcmp(got.reason, reason)))
        fail_msg("with\n%s\nthe verdict is %d (%s), not %d (%s)", lines, got.verdict, got.reason, verdict, reason ? reason : "any reason");
    bw_buf_free(&scratch);
}

#define assert_accepted(fixture, lines, body) assert_verdict_at(fixture, lines, body, NOW_MS, BW_VERIFIED, "verified")
#define assert_refused(fixture, lines, body, reason) assert_verdict_at(fixture, lines, body, NOW_MS, BW_REFUSED, reason)

/* HMAC-SHA-256 by OpenSSL's one-shot call: not the code under test. */
__attribute__((unused)) static const char *hex_mac(const char *key, const char *message, char out[65])
{
    unsigned char mac[32];
    unsigned len = 0;
    assert_non_null(HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)message, strlen(message), mac, &len));
    bw_hex_encode(mac, 32, out);
    return out;
}

__attribute__((unused)) static const char *base64_mac(const char *key, size_t key_len, const char *message, char out[64])
{
    unsigned char mac[32];
    unsigned len = 0;
    assert_non_null(HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)message, strlen(message), mac, &len));
    EVP_EncodeBlock((unsigned char *)out, mac, 32);
    return out;
}

__attribute__((unused)) static const char *format(char *out, size_t size, const char *text, ...) __attribute__((format(printf, 3, 4)));
__attribute__((unused)) static const char *format(char *out, size_t size, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    assert_true(vsnprintf(out, size, text, args) < (int)size);
    va_end(args);
    return out;
}
#endif
