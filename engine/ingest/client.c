#include "ingest/client.h"
#include <string.h>

static void note(struct bw_client *client, struct bw_slice text)
{
    size_t len = text.len < sizeof client->text ? text.len : sizeof client->text - 1;
    memcpy(client->text, text.ptr ? text.ptr : "", len);
    client->text[len] = '\0';
}

/* The last part of *list, without blanks; *list ends before it then. */
static struct bw_slice take_last(struct bw_slice *list)
{
    const char *comma = list->len ? memrchr(list->ptr, ',', list->len) : NULL;
    struct bw_slice part = {comma ? comma + 1 : list->ptr, comma ? list->len - (size_t)(comma + 1 - list->ptr) : list->len};
    list->len = comma ? (size_t)(comma - list->ptr) : 0;
    return bw_slice_trimmed(part);
}

/* Some proxies write the port: 192.0.2.1:4711, [2001:db8::1]:4711. */
static struct bw_slice without_port(struct bw_slice text)
{
    const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL, *last = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    if (text.len && *text.ptr == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        return end ? (struct bw_slice){text.ptr + 1, (size_t)(end - text.ptr - 1)} : (struct bw_slice){0};
    }
    return colon && colon == last ? (struct bw_slice){text.ptr, (size_t)(colon - text.ptr)} : text;
}

void bw_client_of(struct bw_slice peer, const struct bw_request *request, const struct bw_net_range *trusted, size_t trusted_count,
                  struct bw_client *out)
{
    *out = (struct bw_client){0};
    note(out, peer);
    if (bw_slice_is(peer, BW_CLIENT_UNIX))
        out->address.family = BW_NET_UNIX;
    else
        bw_net_address_parse(peer, &out->address);
    for (size_t i = request->header_count; i-- > 0;) {
        struct bw_slice list = request->headers[i].value;
        if (!bw_slice_is_nocase(request->headers[i].name, "X-Forwarded-For")) continue;
        while (list.len) {
            if (!bw_net_ranges_hold(trusted, trusted_count, &out->address)) return;
            struct bw_slice part = without_port(take_last(&list));
            if (!bw_net_address_parse(part, &out->address)) return; /* unknown, whoever stands in front of it */
            note(out, part);
        }
    }
}
