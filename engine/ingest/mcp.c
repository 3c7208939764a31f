#include "ingest/mcp.h"
#include "base/json.h"
#include "ingest/asked.h"
#include "ingest/conclude.h"
#include "ingest/delivery.h"
#include "ingest/held.h"
#include <stdlib.h>
#include <string.h>

#define EVENT_PREFIX "tools." /* of the event's name, behind the source's */

/* ---- answers that are known at once ---- */

static void conclude(struct bw_connection *connection, const struct bw_route *route, unsigned status, enum bw_outcome outcome, const char *reason,
                     struct bw_buf *text)
{
    struct bw_reply reply;
    if (text->failed) {
        bw_reply_refuse(&reply, 503);
        status = 503;
        outcome = BW_OUTCOME_OVERLOADED;
        reason = "no memory";
    } else {
        bw_reply_bytes(&reply, status, NULL, bw_buf_slice(text));
        reply.closes = false; /* a client that has made a mistake goes on */
    }
    bw_conclude(connection, route, &(struct bw_conclusion){status, outcome, reason}, &reply);
    bw_buf_free(text);
}

static void refuse(struct bw_connection *connection, const struct bw_route *route, const struct bw_mcp_to *to, const struct bw_mcp_fault *fault)
{
    struct bw_buf text = {0};
    bw_mcp_say_fault(to, fault, &text);
    conclude(connection, route, fault->status, BW_OUTCOME_MALFORMED, fault->message, &text);
}

static void say_later(const struct bw_mcp_to *to, const char *why, struct bw_buf *text, struct bw_reply *reply)
{
    struct bw_mcp_fault fault = {.status = 503, .code = BW_MCP_INTERNAL_ERROR};
    struct bw_reply refusal;
    snprintf(fault.message, sizeof fault.message, "%s", why);
    bw_mcp_say_fault(to, &fault, text);
    bw_reply_refuse(&refusal, 503);
    bw_reply_bytes(reply, 503, NULL, bw_buf_slice(text));
    reply->retry_after_s = refusal.retry_after_s;
}

void bw_mcp_say_overloaded(const struct bw_mcp_to *to, struct bw_buf *text, struct bw_reply *reply)
{
    say_later(to, "The call could not be stored, nothing has begun: call again later", text, reply);
}

void bw_mcp_say_gone(const struct bw_mcp_to *to, struct bw_buf *text, struct bw_reply *reply)
{
    bw_mcp_say_refusal(to, "call.gone", "this call was made before, and what has become of it is not kept any more", NULL, text);
    bw_reply_bytes(reply, 200, NULL, bw_buf_slice(text));
}

/* ---- what has become of a run ---- */

struct run_asked {
    struct bw_asked asked;
    struct bw_tool_run_query query;
    struct bw_tool_call *call; /* whom to answer; ours */
    struct bw_router *router;  /* of a call that is repeated, and is to wait like the first; ours. NULL: get_run */
    const struct bw_route *route;
    json_t *given;
    char source[65];
};

static void answer_unknown(const struct run_asked *asked, struct bw_buf *text, struct bw_reply *reply)
{
    const struct bw_mcp_to *to = &asked->call->to;
    if (asked->query.found == BW_TOOL_RUN_OTHER_ARGUMENTS)
        bw_mcp_say_refusal(to, "call.other_arguments", "a call with this idempotency key was made before, with other arguments",
                           "another call needs another key", text);
    else if (asked->router)
        bw_mcp_say_gone(to, text, reply);
    else
        bw_mcp_say_refusal(to, "run.unknown", "no tool of this server has begun such a run, or it is not kept any more",
                           "give the run_id as the tool has said it", text);
}

/* It goes on: then who has called again waits for its end, as who has called first. If it ends just now, that is told when the time is over. */
static bool wait_again(struct bw_connection *connection, struct run_asked *asked)
{
    const int64_t within_ms = asked->route->settings->mcp.within_ms;
    const struct bw_binding binding = {.respond_least_ms = within_ms, .respond_most_ms = within_ms};
    struct bw_held *held = bw_held_new_call(connection->loop, asked->query.event, &binding, asked->call);
    if (!held) return false;
    const struct bw_route *route = asked->route;
    asked->call = NULL; /* both are the held one's now */
    asked->router = NULL;
    bw_held_keep(held, connection, route);
    return true;
}

static void answer_run(struct bw_connection *connection, const struct bw_asked *base, bool wants_json)
{
    const struct run_asked *asked = (const struct run_asked *)base;
    struct bw_buf text = {0};
    struct bw_reply reply;
    char run[BW_UID_TEXT];
    (void)wants_json;
    if (!asked || asked->query.found == BW_TOOL_RUN_LATER) {
        bw_reply_refuse(&reply, 503);
        if (asked) say_later(&asked->call->to, "It cannot be told now: ask again", &text, &reply);
        reply.closes = false;
        bw_connection_answer(connection, &reply);
        bw_buf_free(&text);
        return;
    }
    const struct bw_tool_run_query *query = &asked->query;
    bool goes_on = asked->router && query->found == BW_TOOL_RUN_FOUND && !query->is_over;
    if (goes_on && wait_again(connection, (struct run_asked *)asked)) return;
    const struct bw_mcp_outcome outcome = {.run = bw_slice_of(bw_uid_text(query->run, BW_UID_RUN, run)),
                                           .tool = asked->call->tool,
                                           .status = query->status,
                                           .is_over = query->is_over,
                                           .is_good = query->is_good,
                                           .output = bw_buf_slice(&query->output),
                                           .error = bw_buf_slice(&query->error),
                                           .waits_for = bw_buf_slice(&query->waits_for)};
    if (query->found != BW_TOOL_RUN_FOUND)
        answer_unknown(asked, &text, &reply);
    else if (asked->router)
        bw_mcp_say_call(&asked->call->to, &outcome, &text);
    else
        bw_mcp_say_run(&asked->call->to, &outcome, &text);
    bw_reply_bytes(&reply, 200, NULL, bw_buf_slice(&text));
    if (text.failed) bw_reply_refuse(&reply, 503);
    bw_connection_answer(connection, &reply);
    bw_buf_free(&text);
}

static void asked_free(struct bw_asked *base)
{
    struct run_asked *asked = (struct run_asked *)base;
    bw_tool_run_query_clear(&asked->query);
    json_decref(asked->given);
    bw_router_unref(asked->router);
    free(asked->call);
    free(asked);
}

static const struct bw_asked_kind kind = {answer_run, asked_free};

static void on_done(struct bw_tool_run_query *query)
{
    bw_asked_told(&((struct run_asked *)((char *)query - offsetof(struct run_asked, query)))->asked);
}

/* Takes the call and what it was given over. query: run, and event of a repetition. */
static void ask(struct bw_connection *connection, const struct bw_route *route, struct bw_tool_call *call, json_t *given,
                const struct bw_tool_run_query *query)
{
    struct bw_loop *loop = connection->loop;
    const struct bw_ingest_options *options = &loop->ingest->options;
    bool has_room = call && options->ask_tool_run && bw_asked_enter(loop);
    struct run_asked *asked = has_room ? calloc(1, sizeof *asked) : NULL;
    if (!asked) {
        if (has_room) bw_asked_leave(loop);
        free(call);
        json_decref(given);
        answer_run(connection, NULL, true);
        return;
    }
    asked->asked = (struct bw_asked){.kind = &kind, .connection = connection};
    asked->call = call;
    asked->given = given;
    asked->route = route;
    if (!bw_uid_is_zero(query->event)) asked->router = bw_router_ref(route->router);
    snprintf(asked->source, sizeof asked->source, "%s", route->settings->name);
    asked->query =
        (struct bw_tool_run_query){.run = query->run, .event = query->event, .source = bw_slice_of(asked->source), .given = given, .done = on_done};
    bw_asked_wait(&asked->asked);
    options->ask_tool_run(options->arg, &asked->query);
}

void bw_mcp_repeat(struct bw_connection *connection, const struct bw_route *route, const struct bw_tool_call *call, struct bw_slice arguments,
                   struct bw_uid event)
{
    const struct bw_mcp_request again = {
        .to = call->to, .tool = call->tool, .client_name = call->client_name, .client_version = call->client_version};
    const struct bw_tool_run_query query = {.run = bw_uid_of_run(event, call->workflow), .event = event};
    struct bw_tool_call *copy = bw_tool_call_new(&again, call->workflow);
    if (copy) copy->run = query.run;
    ask(connection, route, copy, bw_json_load(arguments, NULL), &query);
}

/* ---- calls ---- */

static void get_run(struct bw_connection *connection, const struct bw_route *route, const struct bw_mcp_request *from)
{
    struct bw_buf text = {0};
    struct bw_tool_run_query query = {0};
    if (!bw_uid_parse(bw_json_slice(json_object_get(from->given, "run_id")), BW_UID_RUN, &query.run)) {
        bw_mcp_say_refusal(&from->to, "input.format", "run_id: must be the id of a run, as run_ and 26 letters and digits",
                           "give it as the tool has said it", &text);
        conclude(connection, route, 200, BW_OUTCOME_INVALID, "run_id of get_run", &text);
        return;
    }
    struct bw_slice nobody = {"", 0};
    ask(connection, route, bw_tool_call_new(from, nobody), NULL, &query);
}

/* A repetition is known by its tool and key: what else it says is compared when the first call is found. */
static void make_key(const struct bw_mcp_request *from, struct bw_buf *out)
{
    if (!from->key.len) return;
    bw_buf_append_slice(out, from->tool);
    bw_buf_append_char(out, ' ');
    bw_buf_append_slice(out, from->key);
}

static void call(struct bw_connection *connection, const struct bw_route *route, const struct bw_mcp_request *from, struct bw_slice subject)
{
    const struct bw_mcp_tool *tool = bw_mcp_tools_find(bw_router_tools(route->router), from->tool);
    struct bw_mcp_fault fault = {.status = 200, .code = BW_MCP_INVALID_PARAMS};
    struct bw_buf text = {0}, key = {0}, name = {0};
    struct bw_error err = {0};
    if (!tool) {
        snprintf(fault.message, sizeof fault.message, "Unknown tool: %.*s", from->tool.len > 64 ? 64 : (int)from->tool.len, from->tool.ptr);
        refuse(connection, route, &from->to, &fault);
        return;
    }
    if (!tool->workflow.len) {
        get_run(connection, route, from);
        return;
    }
    if (!bw_mcp_tool_takes(tool, from->given, &err)) {
        bw_mcp_say_refusal(&from->to, err.code, err.message, err.hint, &text);
        conclude(connection, route, 200, BW_OUTCOME_INVALID, err.code, &text);
        return;
    }
    make_key(from, &key);
    bw_buf_append_text(&name, EVENT_PREFIX);
    bw_buf_append_slice(&name, tool->name);
    const struct bw_judgement judgement = {.verdict = BW_VERIFIED,
                                           .delivery_id = bw_buf_slice(&key),
                                           .event = bw_buf_slice(&name),
                                           .event_trusted = true,
                                           .subject = subject,
                                           .data = from->arguments};
    struct bw_tool_call *made = key.failed || name.failed ? NULL : bw_tool_call_new(from, tool->workflow);
    if (!made || !bw_deliver_call(connection, route, &judgement, made)) {
        free(made);
        fault.status = 503;
        fault.code = BW_MCP_INTERNAL_ERROR;
        snprintf(fault.message, sizeof fault.message, "The tool cannot be called now, nothing has begun: list the tools and call again");
        bw_mcp_say_fault(&from->to, &fault, &text);
        conclude(connection, route, 503, BW_OUTCOME_OVERLOADED, "the workflow is gone, or there is no memory", &text);
    }
    bw_buf_free(&key);
    bw_buf_free(&name);
}

/* ---- the way of a message ---- */

static struct bw_mcp_header header_of(const struct bw_request *request, const char *name)
{
    size_t count;
    const struct bw_header *header = bw_request_header(request, name, &count);
    return (struct bw_mcp_header){header ? header->value : (struct bw_slice){"", 0}, header ? count : 0};
}

bool bw_mcp_may_come_from(const struct bw_connection *connection, const struct bw_route *route)
{
    const struct bw_loop *loop = connection->loop;
    const struct bw_mcp_config *mcp = &route->settings->mcp;
    const char *own = route->settings->public_url ? route->settings->public_url : loop->ingest->options.config->public_url;
    size_t count;
    const struct bw_header *origin = bw_request_header(&loop->parts.request, "Origin", &count);
    return !origin || (count == 1 && bw_mcp_origin_is_good(origin->value, own, mcp->origins, mcp->origin_count));
}

static void refuse_type(struct bw_connection *connection, const struct bw_route *route)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, 415);
    reply.headers = BW_SLICE("Accept\0application/json\0");
    bw_conclude(connection, route, &(struct bw_conclusion){415, BW_OUTCOME_BAD_TYPE, "content type"}, &reply);
}

static void answer(struct bw_connection *connection, const struct bw_route *route, const struct bw_mcp_request *from, struct bw_slice subject)
{
    struct bw_buf text = {0};
    const struct bw_mcp_fault no_cursor = {
        .status = 200, .code = BW_MCP_INVALID_PARAMS, .message = "Invalid params: this cursor is of no list of ours"};
    switch (from->method) {
    case BW_MCP_CALL_TOOL: call(connection, route, from, subject); return;
    case BW_MCP_DISCOVER: bw_mcp_say_discover(&from->to, &text); break;
    case BW_MCP_INITIALIZE: bw_mcp_say_initialize(&from->to, from->version, &text); break;
    case BW_MCP_PING: bw_mcp_say_pong(&from->to, &text); break;
    case BW_MCP_LIST_TOOLS:
        if (bw_mcp_say_tools(&from->to, bw_router_tools(route->router), from->cursor, &text)) break;
        refuse(connection, route, &from->to, &no_cursor);
        bw_buf_free(&text);
        return;
    case BW_MCP_NOTIFICATION: break; /* there is nothing that one of them could change: no session, and a run goes on */
    }
    bool is_notification = from->method == BW_MCP_NOTIFICATION;
    conclude(connection, route, is_notification ? 202 : 200, BW_OUTCOME_HANDSHAKE, bw_mcp_method_name(from->method), &text);
}

void bw_mcp(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement)
{
    const struct bw_request *parsed = &connection->loop->parts.request;
    const struct bw_mcp_headers headers = {header_of(parsed, "MCP-Protocol-Version"), header_of(parsed, "Mcp-Method"), header_of(parsed, "Mcp-Name")};
    struct bw_mcp_request message = {0};
    struct bw_mcp_fault fault = {0};
    if (!bw_request_is_json(parsed))
        refuse_type(connection, route);
    else if (!bw_mcp_request_read(judgement->verdict == BW_VERIFIED ? judgement->data : parsed->body, &headers, &message, &fault))
        refuse(connection, route, &message.to, &fault);
    else
        answer(connection, route, &message, judgement->subject);
    bw_mcp_request_clear(&message);
}
