#include "ingest/tool_call.h"
#include <stdlib.h>
#include <string.h>

#define CLIENT_BYTES_MAX 100  /* of what it says of itself, each */
#define SUBJECT_BYTES_MAX 400 /* a longer one is left out: half of it might be somebody else */

static struct bw_slice put(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    memcpy(*at, bytes.ptr ? bytes.ptr : "", bytes.len);
    *at += bytes.len;
    return copy;
}

/* Not through a character. */
static struct bw_slice shorten(struct bw_slice text)
{
    size_t len = text.len < CLIENT_BYTES_MAX ? text.len : CLIENT_BYTES_MAX;
    while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) len--;
    return (struct bw_slice){text.ptr, len};
}

struct bw_tool_call *bw_tool_call_new(const struct bw_mcp_request *request, struct bw_slice workflow)
{
    struct bw_slice name = shorten(request->client_name), version = shorten(request->client_version);
    struct bw_tool_call *call = malloc(sizeof *call + request->to.id.len + request->tool.len + workflow.len + name.len + version.len);
    if (!call) return NULL;
    char *at = call->bytes;
    *call = (struct bw_tool_call){.to = {.is_of_today = request->to.is_of_today}};
    call->to.id = put(&at, request->to.id);
    call->tool = put(&at, request->tool);
    call->workflow = put(&at, workflow);
    call->client_name = put(&at, name);
    call->client_version = put(&at, version);
    return call;
}

void bw_tool_call_reply(const struct bw_tool_call *call, const struct bw_mcp_outcome *outcome, struct bw_buf *text, struct bw_reply *reply)
{
    char run[BW_UID_TEXT];
    struct bw_mcp_outcome whole = *outcome;
    whole.run = bw_slice_of(bw_uid_text(call->run, BW_UID_RUN, run));
    whole.tool = call->tool;
    bw_mcp_say_call(&call->to, &whole, text);
    bw_reply_bytes(reply, text->failed ? 503 : 200, NULL, bw_buf_slice(text));
    if (text->failed) bw_reply_refuse(reply, 503); /* it is stored, and called again with its key it is the same one */
}

static void append(struct bw_buf *kept, const char *name, struct bw_slice value, struct bw_slice more)
{
    bw_buf_append_text(kept, kept->len > 1 ? ",\"" : "\"");
    bw_buf_append_text(kept, name);
    bw_buf_append_text(kept, "\":");
    struct bw_buf text = {0};
    bw_buf_append_slice(&text, value);
    if (more.len) bw_buf_append_char(&text, ' ');
    bw_buf_append_slice(&text, more);
    bw_buf_append_json_string(kept, bw_buf_slice(&text));
    kept->failed |= text.failed;
    bw_buf_free(&text);
}

void bw_tool_call_headers(const struct bw_tool_call *call, struct bw_slice subject, struct bw_buf *kept)
{
    if (kept->failed || !kept->len) return;
    kept->len--; /* the brace */
    append(kept, "bellwire-tool", call->tool, (struct bw_slice){"", 0});
    if (call->client_name.len) append(kept, "bellwire-tool-client", call->client_name, call->client_version);
    if (subject.len && subject.len <= SUBJECT_BYTES_MAX) {
        bw_buf_append_text(kept, ",\"bellwire-tool-subject\":");
        bw_buf_append_slice(kept, subject);
    }
    bw_buf_append_char(kept, '}');
}
