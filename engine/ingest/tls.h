/* tls.h: what https listeners are: certificates with their keys, by name, and what clients have to show. TLS 1.2 and 1.3 with forward secrecy and
 * authenticated ciphers; no renegotiation, no compression, no early data.
 *
 * Immutable and counted: a reload makes a new one, connections end on the one that they began with. Any thread. A loaded one holds the keys of its
 * session tickets: whoever wants them to change loads it anew. */
#ifndef BW_INGEST_TLS_H
#define BW_INGEST_TLS_H
#include "base/buf.h"
#include "base/error.h"
#include "config/config.h"

typedef struct ssl_st SSL;
struct bw_tls;

/* Reads the files. NULL with the file and what is wrong with it: tls.unreadable, tls.key_readable (everybody may read it), tls.mismatch, tls.clients.
 */
struct bw_tls *bw_tls_load(const struct bw_tls_config *config, struct bw_error *err);
struct bw_tls *bw_tls_ref(struct bw_tls *tls);
void bw_tls_unref(struct bw_tls *tls);                                 /* NULL is nothing */
int64_t bw_tls_days_left(const struct bw_tls *tls, const char **cert); /* of the certificate that ends first; negative: it has ended */

/* What does the handshake as a server with its first read (stream.h). The descriptor stays the caller's. NULL without memory. */
SSL *bw_tls_accept(const struct bw_tls *tls, int fd);
/* The subject of the certificate that the client has shown, as RFC 2253 writes it; false: it has shown none. */
bool bw_tls_client(const SSL *ssl, struct bw_buf *subject);
#endif
