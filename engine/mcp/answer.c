#include "mcp/answer.h"
#include <string.h>

#define SERVER "{\"name\":\"bellwire\",\"title\":\"Bellwire\",\"version\":\"" BELLWIRE_VERSION "\"}"
#define INSTRUCTIONS                                                                                                                             \
    "\"Each tool runs a workflow. A call is stored before it is answered, and its run goes on whatever becomes of the connection. When it does " \
    "not end in time, the answer has its run_id: ask the tool " BW_MCP_GET_RUN " for the result instead of calling again.\""

/* {"jsonrpc":"2.0","id":…,"result":{ … and what belongs into every result of today. */
static void begin(const struct bw_mcp_to *to, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    bw_buf_append_slice(out, to->id);
    bw_buf_append_text(out, to->is_of_today ? ",\"result\":{\"resultType\":\"complete\"," : ",\"result\":{");
}

/* run: of the call, or empty */
static void append_meta(const struct bw_mcp_to *to, struct bw_slice run, struct bw_buf *out)
{
    if (!to->is_of_today && !run.len) return;
    bw_buf_append_text(out, ",\"_meta\":{");
    if (to->is_of_today) bw_buf_append_text(out, "\"io.modelcontextprotocol/serverInfo\":" SERVER);
    if (run.len) {
        bw_buf_append_text(out, to->is_of_today ? ",\"bellwire/run\":" : "\"bellwire/run\":");
        bw_buf_append_json_string(out, run);
    }
    bw_buf_append_char(out, '}');
}

static void end(const struct bw_mcp_to *to, struct bw_slice run, struct bw_buf *out)
{
    append_meta(to, run, out);
    bw_buf_append_text(out, "}}\n");
}

/* "private": who may not ask must not be shown it by a cache in between. */
static void append_caching(const struct bw_mcp_to *to, struct bw_buf *out)
{
    if (to->is_of_today) bw_buf_printf(out, ",\"ttlMs\":%d,\"cacheScope\":\"private\"", BW_MCP_TTL_MS);
}

void bw_mcp_say_fault(const struct bw_mcp_to *to, const struct bw_mcp_fault *fault, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"jsonrpc\":\"2.0\"");
    /* What could not be read has no id: JSON-RPC says null there, and the protocol of today leaves it out. */
    if (to->id.len || !to->is_of_today) {
        bw_buf_append_text(out, ",\"id\":");
        bw_buf_append_slice(out, to->id.len ? to->id : BW_SLICE("null"));
    }
    bw_buf_printf(out, ",\"error\":{\"code\":%d,\"message\":", fault->code);
    bw_buf_append_json_string(out, bw_slice_of(fault->message));
    if (fault->has_versions) {
        bw_buf_append_text(out, ",\"data\":{\"supported\":[\"" BW_MCP_VERSION "\",\"" BW_MCP_VERSION_BEFORE "\",\"2025-06-18\"],\"requested\":");
        bw_buf_append_json_string(out, fault->asked);
        bw_buf_append_char(out, '}');
    }
    bw_buf_append_text(out, "}}\n");
}

void bw_mcp_say_discover(const struct bw_mcp_to *to, struct bw_buf *out)
{
    begin(to, out);
    bw_buf_append_text(out, "\"supportedVersions\":[\"" BW_MCP_VERSION "\",\"" BW_MCP_VERSION_BEFORE
                            "\",\"2025-06-18\"],\"capabilities\":{\"tools\":{}},\"instructions\":" INSTRUCTIONS);
    append_caching(to, out);
    end(to, (struct bw_slice){"", 0}, out);
}

void bw_mcp_say_initialize(const struct bw_mcp_to *to, struct bw_slice wanted, struct bw_buf *out)
{
    bool is_known = bw_slice_is(wanted, "2025-06-18");
    begin(to, out);
    bw_buf_printf(out, "\"protocolVersion\":\"%s\",\"capabilities\":{\"tools\":{}},\"serverInfo\":%s,\"instructions\":%s",
                  is_known ? "2025-06-18" : BW_MCP_VERSION_BEFORE, SERVER, INSTRUCTIONS);
    end(to, (struct bw_slice){"", 0}, out);
}

void bw_mcp_say_pong(const struct bw_mcp_to *to, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    bw_buf_append_slice(out, to->id);
    bw_buf_append_text(out, ",\"result\":{}}\n");
}

bool bw_mcp_say_tools(const struct bw_mcp_to *to, const struct bw_mcp_tools *tools, struct bw_slice cursor, struct bw_buf *out)
{
    begin(to, out);
    if (!bw_mcp_tools_page(tools, cursor, out)) {
        bw_buf_clear(out);
        return false;
    }
    append_caching(to, out);
    end(to, (struct bw_slice){"", 0}, out);
    return true;
}

/* ---- results of tools ---- */

/* A text for a model, the same as data for a program: structured empty: there is none. */
static void say(const struct bw_mcp_to *to, struct bw_slice run, struct bw_slice text, struct bw_slice structured, bool is_error, struct bw_buf *out)
{
    begin(to, out);
    bw_buf_append_text(out, "\"content\":[{\"type\":\"text\",\"text\":");
    bw_buf_append_json_string(out, text);
    bw_buf_append_text(out, "}]");
    if (structured.len) {
        bw_buf_append_text(out, ",\"structuredContent\":");
        bw_buf_append_slice(out, structured);
    }
    bw_buf_append_text(out, is_error ? ",\"isError\":true" : ",\"isError\":false");
    end(to, run, out);
}

static void append_state(const struct bw_mcp_outcome *outcome, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"run_id\":");
    bw_buf_append_json_string(out, outcome->run);
    bw_buf_printf(out, ",\"status\":\"%s\",\"is_over\":%s", outcome->status, outcome->is_over ? "true" : "false");
    if (outcome->is_over && outcome->is_good) {
        bw_buf_append_text(out, ",\"outputs\":");
        bw_buf_append_slice(out, outcome->output.len ? outcome->output : BW_SLICE("{}"));
    }
    if (outcome->error.len) {
        bw_buf_append_text(out, ",\"error\":");
        bw_buf_append_slice(out, outcome->error);
    }
    if (outcome->waits_for.len) {
        bw_buf_append_text(out, ",\"waits_for\":");
        bw_buf_append_slice(out, outcome->waits_for);
    }
    bw_buf_append_char(out, '}');
}

/* In words: "… has failed at step ask: [http.status] …" */
static void append_failure(const struct bw_mcp_outcome *outcome, struct bw_buf *out)
{
    json_t *error = outcome->error.len ? bw_json_load(outcome->error, NULL) : NULL;
    const char *step = bw_json_str(error, "step", "");
    struct bw_slice tool = outcome->tool.len ? outcome->tool : BW_SLICE("the tool");
    bw_buf_printf(out, "%.*s: its run %.*s ", (int)tool.len, tool.ptr, (int)outcome->run.len, outcome->run.ptr);
    if (strcmp(outcome->status, "failed") != 0)
        bw_buf_printf(out, "has ended as %s", outcome->status);
    else
        bw_buf_append_text(out, "has failed");
    if (*step) bw_buf_printf(out, " at the step %s", step);
    if (error) bw_buf_printf(out, ": [%s] %s", bw_json_str(error, "code", "failed"), bw_json_str(error, "message", ""));
    json_decref(error);
}

void bw_mcp_say_call(const struct bw_mcp_to *to, const struct bw_mcp_outcome *outcome, struct bw_buf *out)
{
    struct bw_buf text = {0}, state = {0};
    struct bw_slice output = outcome->output.len ? outcome->output : BW_SLICE("{}");
    append_state(outcome, &state);
    if (outcome->is_over && outcome->is_good) {
        say(to, outcome->run, output, output, false, out);
    } else if (outcome->is_over) {
        append_failure(outcome, &text);
        say(to, outcome->run, bw_buf_slice(&text), bw_buf_slice(&state), true, out);
    } else {
        bw_buf_printf(&text,
                      "The call is stored and its run goes on; it has not ended yet (status: %s). Do not call again: ask the tool " BW_MCP_GET_RUN
                      " with {\"run_id\": \"%.*s\"} for its result.",
                      outcome->status, (int)outcome->run.len, outcome->run.ptr);
        say(to, outcome->run, bw_buf_slice(&text), bw_buf_slice(&state), false, out);
    }
    out->failed |= text.failed || state.failed;
    bw_buf_free(&text);
    bw_buf_free(&state);
}

void bw_mcp_say_run(const struct bw_mcp_to *to, const struct bw_mcp_outcome *outcome, struct bw_buf *out)
{
    struct bw_buf state = {0};
    append_state(outcome, &state);
    say(to, outcome->run, bw_buf_slice(&state), bw_buf_slice(&state), false, out);
    out->failed |= state.failed;
    bw_buf_free(&state);
}

void bw_mcp_say_refusal(const struct bw_mcp_to *to, const char *code, const char *message, const char *hint, struct bw_buf *out)
{
    struct bw_buf text = {0};
    bw_buf_printf(&text, "[%s] %s", code, message);
    if (hint && *hint) bw_buf_printf(&text, " (%s)", hint);
    say(to, (struct bw_slice){"", 0}, bw_buf_slice(&text), (struct bw_slice){"", 0}, true, out);
    out->failed |= text.failed;
    bw_buf_free(&text);
}
