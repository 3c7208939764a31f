#include "cmd/caller.h"
#include "base/json.h"

void bw_caller_text(const struct bw_event *event, struct bw_buf *out)
{
    json_t *headers = event->headers.len ? bw_json_load(event->headers, NULL) : NULL;
    const char *tool = bw_json_str(headers, "bellwire-tool", NULL), *client = bw_json_str(headers, "bellwire-tool-client", NULL),
               *subject = bw_json_str(headers, "bellwire-tool-subject", bw_json_str(headers, "bellwire-client-subject", NULL));
    if (tool && event->workflow.len) {
        bw_buf_printf(out, "the tool %s, called by MCP through the source ", tool);
        bw_buf_append_slice(out, event->source);
        if (subject) bw_buf_printf(out, ", by %s", subject);
        if (client) bw_buf_printf(out, subject ? " (it calls itself %s)" : ", by who calls itself %s", client);
    }
    json_decref(headers);
}
