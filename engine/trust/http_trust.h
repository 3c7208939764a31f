/* http_trust.h: whom a request over https trusts: a server with a certificate of an authority of this machine, for the name or address in the URL,
 * as the certificate's list of names has it (RFC 9525: not its subject), and an answer that was not cut short. One thread a process: that of the
 * transfers. */
#ifndef BW_TRUST_HTTP_TRUST_H
#define BW_TRUST_HTTP_TRUST_H
#include <curl/curl.h>
#include <stdbool.h>

struct bw_farewell;
struct bw_http_trust { /* all zero: nothing to end */
    char *host;        /* libcurl's; NULL: no handshake was begun */
    struct bw_farewell *farewell;
    bool has_head;   /* all of it: libcurl takes a connection that ends within it for the end of an answer */
    bool is_chunked; /* the head says where the answer ends */
};
/* Authorities: the system's, or instead of them those of $SSL_CERT_FILE (PEM) and $SSL_CERT_DIR, as other programs have it. `trust` stays where it is
 * until the request is over. False: no memory. */
bool bw_http_trust_begin(struct bw_http_trust *trust, CURL *easy);
void bw_http_trust_header(struct bw_http_trust *trust, CURL *easy, const char *line, size_t len); /* each line of CURLOPT_HEADERFUNCTION */
/* After a transfer that libcurl takes for a good one: why the answer may not be whole, for people. It has half a head, or only the end of its
 * connection ends it, and the server did not say that it is the end (a TLS close_notify, RFC 8446 6.1; without TLS nobody can tell). NULL: it is. */
const char *bw_http_trust_fault(const struct bw_http_trust *trust, CURL *easy);
void bw_http_trust_end(struct bw_http_trust *trust);
#endif
