/* Requests with random damage, from a fixed seed: whatever arrives, the listener answers at most as many requests as were sent, and no
 * connection and no request is left behind. */
#include "fixture.h"

#define ROUNDS 3000

static uint64_t seed;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17; /* xorshift64 (Marsaglia 2003) */
    return (uint32_t)(seed >> 32) % below;
}

static size_t mutate(char *text, size_t len, size_t capacity)
{
    static const char interesting[] = "\r\n\0 :;,\t0123456789abcdefxX+-\x7f\xff";
    for (uint32_t times = pick(4); times; times--) {
        size_t at = pick((uint32_t)len), count = 1 + pick(12);
        switch (pick(4)) {
        case 0: text[at] = interesting[pick(sizeof interesting - 1)]; break;
        case 1: text[at] ^= (char)(1 << pick(8)); break;
        case 2: /* say something twice */
            if (at + count > len || len + count > capacity) break;
            memmove(text + at + count, text + at, len - at);
            len += count;
            break;
        case 3: /* leave something out */
            if (at + count >= len) break;
            memmove(text + at, text + at + count, len - at - count);
            len -= count;
            break;
        }
    }
    return len;
}

static size_t count_of(const char *text, size_t len, const char *word)
{
    size_t count = 0, word_len = strlen(word);
    for (size_t i = 0; i + word_len <= len; i++) count += memcmp(text + i, word, word_len) == 0;
    return count;
}

static void test_damaged_requests_start_nothing_that_was_not_sent(void **state)
{
    struct server *server = *state;
    static const char *const templates[] = {
        POST("X-Id: a\r\n", 7, "{\"a\":1}"),
        "POST /in/beta HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
        POST("X-Verdict: refused\r\n", 2, "{}"),
        "GET /in/alpha?x HTTP/1.1\r\n" HOST "X-Verdict: handshake\r\n\r\n",
        POST("", 2, "{}") "POST /in/beta HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n",
    };
    static char text[2048], answers[16384];
    size_t answered = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const char *from = templates[pick(sizeof templates / sizeof *templates)];
        size_t sent = count_of(from, strlen(from), " HTTP/1.1\r\n") + 1, len = strlen(from), got = 0;
        memcpy(text, from, len);
        len = mutate(text, len, sizeof text - 200);
        len += (size_t)sprintf(text + len, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
        size_t cut = pick((uint32_t)len);
        int fd = dial(server);
        /* A refusal may end the connection before the rest is sent. */
        if (send(fd, text, cut, MSG_NOSIGNAL) == (ssize_t)cut && send(fd, text + cut, len - cut, MSG_NOSIGNAL) > 0) shutdown(fd, SHUT_WR);
        for (ssize_t more; (more = recv(fd, answers + got, sizeof answers - got, 0)) != 0; got += (size_t)more) {
            if (more < 0 && errno == EAGAIN) fail_msg("round %d hangs", round);
            if (more < 0) break;
        }
        close(fd);
        size_t count = count_of(answers, got, "HTTP/1.1 ") + count_of(answers, got, "HTTP/1.0 ");
        if (count > sent) fail_msg("round %d: %zu answers to %zu requests", round, count, sent);
        answered += count;
    }
    /* How many answers are read depends on who closes first; most rounds have one. */
    assert_in_range(answered, ROUNDS / 2, 3 * ROUNDS);
    while (bw_ingest_connections(server->ingest)) usleep(1000);
    assert_int_equal(bw_ingest_parked(server->ingest), 0);
}

static int set_up(void **state)
{
    struct server *server = server_new();
    seed = 0x9e3779b97f4a7c15;
    server->config.ingest_threads = 2;
    server_start(server);
    *state = server;
    return 0;
}

static int tear_down(void **state)
{
    server_end(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_damaged_requests_start_nothing_that_was_not_sent, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
