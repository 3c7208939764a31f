/* bellwire mcp: the tools of the running engine, for a program that starts its servers itself: messages come as lines on standard input, are posted
 * to the engine's source with `mcp`, signed as it wants them, and what it answers goes out as lines. Nothing is known here but how to post: the
 * engine judges each message. A thread for each message under way, so that a call that takes its time keeps no other one waiting. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/libcurl.h"
#include "base/log.h"
#include "cmd/http_post.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "config/listen.h"
#include "mcp/request.h"
#include "source/source.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNDER_WAY_MAX 16             /* messages; more of them wait in the pipe */
#define ANSWER_BYTES_MAX (40u << 20) /* the outputs of a run, as text and as data */
#define TIMEOUT_S 90L                /* above the longest time that an engine lets a call wait */
#define STACK_BYTES (1u << 20)

struct bridge;
struct errand { /* one message on its way, and its thread */
    struct bridge *bridge;
    pthread_t thread;
    bool is_begun;  /* the main thread's: there is a thread to join */
    bool has_ended; /* under the lock: it will not be waited for long */
    char *line;
    size_t len;
};
struct bridge {
    const char *url, *socket_path, *ca;
    const struct bw_source *source;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct errand errands[UNDER_WAY_MAX];
    _Atomic bool is_broken; /* nobody reads what is written */
};

static void write_line(struct bridge *bridge, struct bw_slice text)
{
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) text.len--;
    if (!text.len) return;
    pthread_mutex_lock(&bridge->lock);
    bool good = fwrite(text.ptr, 1, text.len, stdout) == text.len && putchar('\n') == '\n' && !fflush(stdout);
    bridge->is_broken |= !good;
    pthread_mutex_unlock(&bridge->lock);
}

/* What the engine could not say by itself, to whoever has asked. A notification is told nothing. */
static void write_failure(struct bridge *bridge, const json_t *message, const char *text)
{
    struct bw_buf out = {0};
    const json_t *id = json_object_get(message, "id");
    if (!id) return;
    bw_buf_append_text(&out, "{\"jsonrpc\":\"2.0\",\"id\":");
    bw_json_append(&out, id);
    bw_buf_printf(&out, ",\"error\":{\"code\":%d,\"message\":", BW_MCP_INTERNAL_ERROR);
    bw_buf_append_json_string(&out, bw_slice_of(text));
    bw_buf_append_text(&out, "}}");
    write_line(bridge, bw_buf_slice(&out));
    bw_buf_free(&out);
}

static void append_header(struct bw_buf *out, const char *name, struct bw_slice value)
{
    bool is_plain = value.len && value.ptr[0] != ' ' && value.ptr[value.len - 1] != ' ' && strncmp(value.ptr, "=?base64?", 9) != 0;
    for (size_t i = 0; i < value.len; i++) is_plain &= value.ptr[i] >= 0x20 && value.ptr[i] <= 0x7e;
    if (!value.len) return;
    bw_buf_printf(out, "%s: ", name);
    if (!is_plain) bw_buf_append_text(out, "=?base64?");
    if (is_plain)
        bw_buf_append_slice(out, value);
    else
        bw_base64_append(out, value.ptr, value.len);
    bw_buf_append_text(out, is_plain ? "\n" : "?=\n");
}

/* What streamable HTTP wants to have in the headers, too. */
static void append_headers(const json_t *message, struct bw_buf *out)
{
    const json_t *params = json_object_get(message, "params"), *meta = json_object_get(params, "_meta");
    bw_buf_append_text(out, "content-type: application/json\naccept: application/json, text/event-stream\n");
    append_header(out, "mcp-protocol-version", bw_json_slice(json_object_get(meta, "io.modelcontextprotocol/protocolVersion")));
    append_header(out, "mcp-method", bw_json_slice(json_object_get(message, "method")));
    append_header(out, "mcp-name", bw_json_slice(json_object_get(params, "name")));
}

static bool is_message(struct bw_slice answer)
{
    json_t *message = bw_json_load(answer, NULL);
    bool is = json_object_get(message, "jsonrpc") != NULL;
    json_decref(message);
    return is;
}

static void post(struct bridge *bridge, struct bw_slice line)
{
    json_t *message = bw_json_load(line, NULL); /* NULL: the engine says what is wrong with it */
    struct bw_buf headers = {0}, answer = {0};
    struct bw_error err;
    char text[1400];
    unsigned status = 0;
    append_headers(message, &headers);
    struct bw_slice nothing = {"", 0};
    bool good = bw_source_sign(bridge->source, line, nothing, nothing, bw_clock_wall_ms(), &headers, &err);
    const struct bw_http_post request = {.url = bridge->url,
                                         .socket_path = bridge->socket_path,
                                         .ca_file = bridge->ca,
                                         .headers = bw_buf_slice(&headers),
                                         .body = line,
                                         .timeout_s = TIMEOUT_S,
                                         .answer_bytes_max = ANSWER_BYTES_MAX};
    good = good && bw_http_post(&request, &status, &answer, &err);
    if (!good) {
        write_failure(bridge, message, bw_error_text(&err, text, sizeof text));
    } else if (answer.len && is_message(bw_buf_slice(&answer))) {
        write_line(bridge, bw_buf_slice(&answer));
    } else if (status != 202) {
        snprintf(text, sizeof text, "the engine has answered %u: %.*s", status, answer.len > 200 ? 200 : (int)answer.len,
                 answer.len ? answer.data : "");
        write_failure(bridge, message, text);
    }
    json_decref(message);
    bw_buf_free(&headers);
    bw_buf_free(&answer);
}

static void *run_errand(void *arg)
{
    struct errand *errand = arg;
    post(errand->bridge, (struct bw_slice){errand->line, errand->len});
    pthread_mutex_lock(&errand->bridge->lock);
    errand->has_ended = true;
    pthread_cond_signal(&errand->bridge->ended);
    pthread_mutex_unlock(&errand->bridge->lock);
    return NULL;
}

static void end(struct errand *errand)
{
    if (!errand->is_begun) return;
    pthread_join(errand->thread, NULL);
    free(errand->line);
    errand->is_begun = false;
}

/* One that is free, or has ended; waits for it. */
static struct errand *find_room(struct bridge *bridge)
{
    struct errand *found = NULL;
    pthread_mutex_lock(&bridge->lock);
    while (!found) {
        for (size_t i = 0; i < UNDER_WAY_MAX && !found; i++)
            if (!bridge->errands[i].is_begun || bridge->errands[i].has_ended) found = &bridge->errands[i];
        if (!found) pthread_cond_wait(&bridge->ended, &bridge->lock);
    }
    pthread_mutex_unlock(&bridge->lock);
    end(found);
    return found;
}

static bool begin(struct bridge *bridge, const pthread_attr_t *attributes, struct bw_slice line)
{
    struct errand *errand = find_room(bridge);
    *errand = (struct errand){.bridge = bridge, .line = bw_slice_dup(line), .len = line.len};
    errand->is_begun = errand->line && !pthread_create(&errand->thread, attributes, run_errand, errand);
    if (!errand->is_begun) free(errand->line);
    return errand->is_begun;
}

/* Until the input ends; what is under way then is still answered. */
static int carry(struct bridge *bridge)
{
    pthread_attr_t attributes;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int status = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (!status && !bridge->is_broken && (len = getline(&line, &room, stdin)) > 0) {
        struct bw_slice text = {line, (size_t)len};
        while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1])) text.len--;
        if (text.len && !begin(bridge, &attributes, text)) {
            fprintf(stderr, "bellwire mcp: out of memory\n");
            status = 1;
        }
    }
    for (size_t i = 0; i < UNDER_WAY_MAX; i++) end(&bridge->errands[i]);
    pthread_attr_destroy(&attributes);
    free(line);
    return status;
}

static const struct bw_source_config *find_source(const struct bw_config *config, const char *name)
{
    const struct bw_source_config *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < config->source_count; i++) {
        const struct bw_source_config *source = &config->sources[i];
        if (!source->mcp.is_on || (name && strcmp(source->name, name) != 0)) continue;
        if (!count++) found = source;
    }
    if (!count && name)
        fprintf(stderr, "bellwire mcp: there is no source '%s' with mcp\n", name);
    else if (!count)
        fprintf(stderr,
                "bellwire mcp: no source has mcp; add one to bellwire.yaml: sources: {agents: {path: /mcp, mcp: true, verify: bearer, secrets: "
                "{token: {env: MCP_TOKEN}}}}\n");
    else if (count > 1)
        fprintf(stderr, "bellwire mcp: several sources have mcp; name one of them: bellwire mcp %s\n", found->name);
    return count == 1 ? found : NULL;
}

static int mcp_main(int argc, char **argv)
{
    const char *config_path = NULL, *url = NULL, *ca = NULL, *fault;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "url", .value = &url}, {.name = "ca", .value = &ca}};
    int first, status = bw_options_parse(&bw_command_mcp, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_errors errs = {0};
    struct bw_buf address = {0};
    struct bw_config *config;
    if (status >= 0) return status;
    if (argc - first > 1) return bw_options_wrong(&bw_command_mcp, "name at most one source");
    if ((fault = bw_libcurl_load())) {
        fprintf(stderr, "bellwire mcp: %s\n", fault);
        return 1;
    }
    if (!(config = bw_setup_config_with_secrets("mcp", config_path))) return 1;
    bw_log_setup(BW_LOG_OFF, BW_LOG_TEXT, "mcp");
    const struct bw_source_config *settings = find_source(config, argc > first ? argv[first] : NULL);
    struct bw_schemes *schemes = settings ? bw_schemes_load(config->schemes, &errs) : NULL;
    struct bw_source *source = schemes ? bw_source_new(settings, schemes, &errs) : NULL;
    bw_print_errors(&errs, false);
    status = 1;
    if (source) {
        const struct bw_listen *listen = &config->listen[0];
        struct bridge bridge = {.socket_path = url ? NULL : listen->path, .ca = ca, .source = source};
        if (url || bridge.socket_path)
            bw_buf_append_text(&address, url ? url : "http://localhost");
        else
            bw_listen_append_url(&address, listen, 0);
        if (!url) bw_buf_append_text(&address, settings->path);
        bridge.url = address.data;
        pthread_mutex_init(&bridge.lock, NULL);
        pthread_cond_init(&bridge.ended, NULL);
        status = address.failed ? 1 : carry(&bridge);
    }
    bw_source_free(source);
    bw_schemes_free(schemes);
    bw_buf_free(&address);
    bw_errors_free(&errs);
    bw_config_free(config);
    return status;
}

const struct bw_command bw_command_mcp = {
    .name = "mcp",
    .summary = "hand the tools of the running engine to a program that starts its servers itself",
    .usage = "usage: bellwire mcp [SOURCE] [--url URL] [--ca FILE] [--config FILE]\n\n"
             "For programs that speak the Model Context Protocol with a process of their own (stdio): each line of standard input is a message,\n"
             "posted to the running engine as its source with `mcp` wants it, with its token; each answer is a line of standard output.\n"
             "Workflows with `expose: mcp` are the tools. SOURCE is needed where several sources have mcp.\n\n"
             "  --url URL    another address than the configured one\n"
             "  --ca FILE    trust what this authority has signed (PEM), instead of the system's\n\n"
             "Ends when its input ends. A call that was stored is run to its end all the same.\n\n"
             "example: {\"mcpServers\": {\"shop\": {\"command\": \"bellwire\", \"args\": [\"mcp\", \"--config\", \"/srv/shop/bellwire.yaml\"]}}}\n",
    .run = mcp_main,
};
