#include "post.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- libcurl's callbacks ---- */

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
    struct mail_transfer *transfer = arg;
    size_t left = transfer->message.text.len - transfer->sent, take = size * count < left ? size * count : left;
    memcpy(out, transfer->message.text.bytes + transfer->sent, take);
    transfer->sent += take;
    transfer->is_whole = transfer->sent == transfer->message.text.len;
    return take;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes, (void)arg;
    return size * count;
}

/* The one place after name resolution and before the connection. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct mail_transfer *transfer = arg;
    (void)purpose;
    if (!mail_post_may_connect(transfer->post, &address->addr, address->addrlen)) {
        transfer->was_address_refused = true;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    mail_post_set_socket(transfer->post, transfer, fd);
    return fd;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct mail_transfer *transfer = arg;
    mail_post_set_socket(transfer->post, transfer, -1); /* before somebody else gets its number */
    return close(fd);
}

static int on_progress(void *arg, curl_off_t total, curl_off_t got, curl_off_t upload, curl_off_t sent)
{
    const struct mail_transfer *transfer = arg;
    (void)total, (void)got, (void)upload, (void)sent;
    return transfer->is_given_up;
}

static void take_command(struct mail_transfer *transfer, const char *line, size_t len)
{
    static const char asks[] = "RCPT TO:<";
    const char *begin = line + sizeof asks - 1, *end = memchr(line, '>', len);
    *transfer->recipient = '\0';
    transfer->is_leaving = len >= 4 && !strncasecmp(line, "QUIT", 4);
    if (len <= sizeof asks || strncasecmp(line, asks, sizeof asks - 1) != 0 || !end || end < begin) return;
    snprintf(transfer->recipient, sizeof transfer->recipient, "%.*s", (int)(end - begin), begin);
}

/* "250-…" goes on, "250 …" is the end of a reply (RFC 5321, 4.2.1). */
static void take_reply(struct mail_transfer *transfer, const char *line, size_t len)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == '\n')) len--;
    if (len < 3 || !isdigit((unsigned char)line[0]) || (len > 3 && line[3] == '-') || transfer->is_leaving) return;
    snprintf(transfer->reply, sizeof transfer->reply, "%.*s", (int)len, line);
    for (char *at = transfer->reply; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?';
    transfer->code = atoi(transfer->reply);
    transfer->is_final = transfer->is_whole;
    if (!*transfer->recipient) return;
    if (transfer->code < 400)
        json_array_append_new(transfer->accepted, json_string(transfer->recipient));
    else
        json_array_append_new(transfer->refused, json_pack("{s:s,s:s}", "address", transfer->recipient, "reply", transfer->reply));
    *transfer->recipient = '\0';
}

/* libcurl tells neither whom a server has refused nor what it said last; the dialogue does. */
static int on_dialogue(CURL *easy, curl_infotype type, char *bytes, size_t len, void *arg)
{
    (void)easy;
    if (type == CURLINFO_HEADER_OUT) take_command(arg, bytes, len);
    if (type == CURLINFO_HEADER_IN) take_reply(arg, bytes, len);
    return 0;
}

/* ---- message → transfer ---- */

static void set_tls(CURL *easy, const struct mail_server *server)
{
    bool is_lax = server->tls == MAIL_TLS_AUTO && server->is_loopback; /* nobody is between */
    const char *file = getenv("SSL_CERT_FILE");
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(server->tls == MAIL_TLS_NONE ? CURLUSESSL_NONE : is_lax ? CURLUSESSL_TRY : CURLUSESSL_ALL));
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, is_lax ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, is_lax ? 0L : 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (file && *file) curl_easy_setopt(easy, CURLOPT_CAINFO, file);
}

/* A connection of its own: its socket is what a mail is broken off by from outside. */
static void set_dialogue(struct mail_transfer *transfer, CURL *easy)
{
    long timeout_ms = (long)transfer->call->timeout_ms;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms < 10000 ? timeout_ms : 10000L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_dialogue);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->message.text.len); /* for servers that say how much they take */
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, transfer->is_partial ? 1L : 0L);
}

static void set_envelope(const struct mail_transfer *transfer, CURL *easy)
{
    const struct mail_server *server = transfer->server;
    char text[600];
    snprintf(text, sizeof text, "%.250s/%.250s", server->url, server->hello ? server->hello : strrchr(transfer->message.from.address, '@') + 1);
    curl_easy_setopt(easy, CURLOPT_URL, text);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, transfer->message.from.address);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, transfer->recipients);
    if (!server->user) return;
    curl_easy_setopt(easy, CURLOPT_USERNAME, server->user);
    curl_easy_setopt(easy, CURLOPT_PASSWORD, transfer->password ? transfer->password : "");
}

CURLcode mail_transfer_perform(struct mail_transfer *transfer, CURL *easy)
{
    curl_easy_reset(easy);
    set_dialogue(transfer, easy);
    set_tls(easy, transfer->server);
    set_envelope(transfer, easy);
    CURLcode result = curl_easy_perform(easy);
    return transfer->is_given_up && result != CURLE_OK ? CURLE_ABORTED_BY_CALLBACK : result;
}

static bool copy_password(struct mail_transfer *transfer, const char **code, char *reason, size_t size)
{
    const char *name = transfer->server->password_secret;
    const char *password = name ? transfer->host->secret(transfer->host, transfer->call, name) : NULL;
    if (!transfer->server->user || !name) return true;
    *code = "mail.secret";
    if (password && (transfer->password = strdup(password))) return true;
    snprintf(reason, size, "the secret %s, which is the server's password, was not handed over", name);
    return false;
}

static bool copy_recipients(struct mail_transfer *transfer, char *reason, size_t size)
{
    const struct mail_message *message = &transfer->message;
    snprintf(reason, size, "out of memory");
    for (size_t i = 0; i < message->recipient_count; i++) {
        struct curl_slist *grown = curl_slist_append(transfer->recipients, message->recipients[i]);
        if (!grown) return false;
        transfer->recipients = grown;
    }
    return true;
}

struct mail_transfer *mail_transfer_new(const struct bw_plugin_host *host, struct bw_plugin_call *call, const struct mail_server *server,
                                        const char **code, char *reason, size_t reason_size)
{
    json_t *input = json_loadb(call->input, call->input_len, JSON_ALLOW_NUL, NULL);
    struct mail_transfer *transfer = calloc(1, sizeof *transfer);
    bool is_filled = false;
    *code = "mail.input";
    snprintf(reason, reason_size, "out of memory");
    if (transfer) {
        transfer->host = host;
        transfer->call = call;
        transfer->server = server;
        transfer->fd = -1;
        transfer->accepted = json_array();
        transfer->refused = json_array();
        transfer->is_partial = json_is_true(json_object_get(input, "partial"));
    }
    if (input && transfer && transfer->accepted && transfer->refused)
        is_filled = mail_message_make(&transfer->message, input, server->from, call->idempotency_key, reason, reason_size) &&
                    copy_recipients(transfer, reason, reason_size) && copy_password(transfer, code, reason, reason_size);
    json_decref(input);
    if (is_filled) return transfer;
    mail_transfer_free(transfer);
    return NULL;
}

void mail_transfer_free(struct mail_transfer *transfer)
{
    if (!transfer) return;
    if (transfer->password) explicit_bzero(transfer->password, strlen(transfer->password));
    free(transfer->password);
    curl_slist_free_all(transfer->recipients);
    mail_message_free(&transfer->message);
    json_decref(transfer->accepted);
    json_decref(transfer->refused);
    free(transfer);
}

/* ---- dialogue → output ---- */

static void finish(struct mail_transfer *transfer, const struct bw_plugin_result *result)
{
    transfer->host->complete(transfer->host, transfer->call, result);
}

static void fail(struct mail_transfer *transfer, bool may_pass, const char *code, const char *message)
{
    finish(transfer, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                                .outcome = may_pass ? BW_PLUGIN_RETRY : BW_PLUGIN_FAIL,
                                                .code = code,
                                                .message = message,
                                                .retry_after_ms = -1,
                                                .is_doubtful = transfer->is_whole && !transfer->is_final});
}

static void succeed(struct mail_transfer *transfer)
{
    json_t *output = json_pack("{s:s,s:O,s:O,s:s}", "message_id", transfer->message.id, "accepted", transfer->accepted, "refused", transfer->refused,
                               "reply", transfer->reply);
    char *text = output ? json_dumps(output, JSON_COMPACT) : NULL;
    json_decref(output);
    if (text)
        finish(transfer, &(struct bw_plugin_result){
                             .size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
    else
        finish(transfer, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                                    .outcome = BW_PLUGIN_RETRY,
                                                    .code = "mail.memory",
                                                    .message = "out of memory, after the server took the mail",
                                                    .is_doubtful = true});
    free(text);
}

/* The server has said no: 4xx for now, 5xx for good (RFC 5321, 4.2.1). */
static void say_no(struct mail_transfer *transfer)
{
    json_t *first = json_array_get(transfer->refused, 0);
    const char *address = json_string_value(json_object_get(first, "address"));
    char code[16], message[700];
    snprintf(code, sizeof code, "mail.%03d", transfer->code);
    if (address)
        snprintf(message, sizeof message, "the server does not take mail for %.250s: %s%s", address, transfer->reply,
                 json_array_size(transfer->accepted) && !transfer->is_partial ? "; nobody gets it, as `partial` is not set" : "");
    else
        snprintf(message, sizeof message, "the server says: %s", transfer->reply);
    fail(transfer, transfer->code < 500, code, message);
}

void mail_transfer_complete(struct mail_transfer *transfer, CURLcode result)
{
    const char *said = *transfer->error ? transfer->error : curl_easy_strerror(result);
    if (result == CURLE_OK)
        succeed(transfer);
    else if (result == CURLE_OUT_OF_MEMORY)
        fail(transfer, true, "mail.memory", "out of memory, or of threads");
    else if (result == CURLE_ABORTED_BY_CALLBACK)
        fail(transfer, false, BELLWIRE_PLUGIN_CANCELLED, "the mail was broken off, because the step is not wanted any more");
    else if (transfer->was_address_refused)
        fail(transfer, false, "mail.address_denied",
             "the server has a private or loopback address, which this instance does not allow (allow_private_network in bellwire.yaml)");
    else if (result == CURLE_USE_SSL_FAILED)
        fail(transfer, false, "mail.tls", "the server offers no encryption (STARTTLS), which is required unless configure says  tls: none");
    else if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CONNECT_ERROR)
        fail(transfer, false, "mail.tls", said);
    else if (transfer->code >= 400 && (!transfer->is_whole || transfer->is_final))
        say_no(transfer);
    else if (result == CURLE_LOGIN_DENIED)
        fail(transfer, false, "mail.auth", "the server does not accept the user and password that are configured");
    else
        fail(transfer, true, result == CURLE_OPERATION_TIMEDOUT ? "mail.timeout" : "mail.network", said);
}
