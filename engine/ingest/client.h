/* client.h: from whose address does a request come? Of the socket's other end; if that is a proxy that the configuration trusts, what it says. Pure.
 */
#ifndef BW_INGEST_CLIENT_H
#define BW_INGEST_CLIENT_H
#include "base/net_range.h"
#include "source/source.h"

#define BW_CLIENT_TEXT 64
#define BW_CLIENT_UNIX "unix" /* the peer of a connection over a Unix socket. A header cannot say it: there it is no address */

struct bw_client {
    struct bw_net_address address; /* unknown: a trusted proxy does not say it readably. It is in no list of addresses then */
    char text[BW_CLIENT_TEXT];     /* for records; of an unknown one: the address of the proxy */
};
/* The headers X-Forwarded-For are one list (RFC 9110 5.3), to whose end each proxy adds whom it has spoken to: from there on the first that is no
 * trusted proxy is the client, since what stands in front of it is only what that one says. All are trusted: the first in the list. */
void bw_client_of(struct bw_slice peer, const struct bw_request *request, const struct bw_net_range *trusted, size_t trusted_count,
                  struct bw_client *out);
#endif
