/* send.h: one mail on its way: input → message, a transfer of libcurl, the dialogue with the server → the step's output.
 *
 * Threads: made on the host's loop, performed in a thread of post.c (libcurl waits for the server's last word without returning), completed there.
 * What two threads touch is said so. */
#ifndef MAIL_SEND_H
#define MAIL_SEND_H
#include "bellwire_plugin.h"
#include "message.h"
#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct mail_server {                                   /* what the configuration says */
    const char *url;                                   /* smtp:// or smtps://, without a path */
    const char *user, *password_secret, *from, *hello; /* NULL: not written */
    enum { MAIL_TLS_AUTO, MAIL_TLS_REQUIRED, MAIL_TLS_NONE } tls;
    bool is_loopback; /* by its name */
    int connections;  /* at once, at most */
};
struct mail_post;

struct mail_transfer {
    TAILQ_ENTRY(mail_transfer) link; /* of post.c */
    const struct bw_plugin_host *host;
    struct bw_plugin_call *call;
    const struct mail_server *server;
    struct mail_post *post; /* may_connect() and the socket go through it */
    struct mail_message message;
    struct curl_slist *recipients;
    char *password;           /* NULL: none */
    bool is_partial;          /* who is refused does not keep the others from getting it */
    _Atomic bool is_given_up; /* set on the loop: it is not wanted any more */
    int fd;                   /* under the lock of post.c; -1: none */
    size_t sent;              /* of the message */
    bool is_whole;            /* all of it was handed over: from here on the server may have taken it */
    char recipient[256];      /* whom the server is asked about; "": it is about something else */
    json_t *accepted, *refused;
    bool is_leaving; /* QUIT: what the server says to that is of no interest */
    char reply[300]; /* the last one */
    int code;        /* of it */
    bool is_final;   /* it came behind the message */
    bool was_address_refused;
    char error[CURL_ERROR_SIZE];
};
/* NULL: the input is not usable; code and reason say why. */
struct mail_transfer *mail_transfer_new(const struct bw_plugin_host *host, struct bw_plugin_call *call, const struct mail_server *server,
                                        const char **code, char *reason, size_t reason_size);
/* Blocks until the server has had its say. easy is anybody's, and may be used again. */
CURLcode mail_transfer_perform(struct mail_transfer *transfer, CURL *easy);
void mail_transfer_complete(struct mail_transfer *transfer, CURLcode result);
void mail_transfer_free(struct mail_transfer *transfer);
#endif
