/* handshakes.h: handshakes must not starve those who are inside already: a full one costs as much as a hundred requests on a connection that is open.
 * Each loop measures what its handshakes cost; when that is more than half of a core, its https doors stay closed for a moment, unless there is
 * nothing else to do. The loop's thread. */
#ifndef BW_INGEST_HANDSHAKES_H
#define BW_INGEST_HANDSHAKES_H
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>

struct bw_handshakes;
/* set_open(arg, …) is to open or close the doors. NULL without memory. The base needs three priorities. */
struct bw_handshakes *bw_handshakes_new(struct event_base *base, void (*set_open)(void *arg, bool is_open), void *arg);
void bw_handshakes_begin(struct bw_handshakes *handshakes); /* on the thread that runs the base */
void bw_handshakes_free(struct bw_handshakes *handshakes);
/* For SSL_CTX_set_info_callback(): what the thread's handshakes cost, and why they fail. */
void bw_handshakes_watch(const SSL *ssl, int where, int result);
#endif
