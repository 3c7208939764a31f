/* mail/send@1: mail by SMTP (libcurl, in threads). README.md says what a user may expect. */
#include "address.h"
#include "post.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PEOPLE(name, doc) "\"" name "\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"max_items\":1000,\"doc\":\"" doc "\"}"

static const char manifest[] =
    "{\"name\":\"mail\",\"version\":\"1.0.0\",\"doc\":\"Mail by SMTP\",\"needs\":[\"network\"],\"config\":{"
    "\"server\":{\"type\":\"string\",\"required\":true,\"doc\":\"smtp://HOST:587, or smtps://HOST:465\"},"
    "\"user\":{\"type\":\"string\",\"doc\":\"left out: the server asks for none\"},"
    "\"password\":{\"type\":\"string\",\"secret\":true},"
    "\"from\":{\"type\":\"string\",\"doc\":\"the sender, unless a step says another one\"},"
    "\"tls\":{\"type\":\"string\",\"default\":\"auto\",\"enum\":[\"auto\",\"required\",\"none\"],\"doc\":\"auto: required off "
    "loopback\"},"
    "\"connections\":{\"type\":\"integer\",\"default\":8,\"min\":1,\"max\":64,\"doc\":\"so many mails are on their way at once, others wait\"},"
    "\"hello\":{\"type\":\"string\",\"doc\":\"the name that the server is greeted with; the sender's domain if it is left out\"}},"
    "\"actions\":[{\"name\":\"mail/send\",\"effect\":\"write\",\"doc\":\"Send one mail. Its Message-ID is the same each time that the "
    "step is tried.\","
    "\"inputs\":{" PEOPLE("to", "addresses, with or without a name: Ada <ada@example.com>") "," PEOPLE(
        "cc",
        "get it, and are named in "
        "it") "," PEOPLE("bcc",
                         "get it, and are not named in it") "," PEOPLE("reply_to",
                                                                       "who gets the answers") ",\"from\":{\"type\":\"string\",\"doc\":\"the sender, "
                                                                                               "instead of the one that is configured\"},"
                                                                                               "\"subject\":{\"type\":\"string\",\"required\":true},"
                                                                                               "\"text\":{\"type\":\"string\",\"doc\":\"the mail as "
                                                                                               "plain text\"},"
                                                                                               "\"html\":{\"type\":\"string\",\"doc\":\"the mail as "
                                                                                               "HTML; with text both are sent, and the reader's "
                                                                                               "program "
                                                                                               "chooses\"},"
                                                                                               "\"headers\":{\"type\":\"object\",\"doc\":\"others, "
                                                                                               "name "
                                                                                               "to text, such as List-Unsubscribe\"},"
                                                                                               "\"attachments\":{\"type\":\"array\",\"max_items\":"
                                                                                               "100,"
                                                                                               "\"items\":{\"type\":\"object\",\"properties\":{"
                                                                                               "\"name\":{\"type\":\"string\",\"required\":true},"
                                                                                               "\"type\":{\"type\":\"string\",\"default\":"
                                                                                               "\"application/"
                                                                                               "octet-stream\"},"
                                                                                               "\"data\":{\"type\":\"string\",\"required\":true,"
                                                                                               "\"doc\":"
                                                                                               "\"base64\"}}}},"
                                                                                               "\"partial\":{\"type\":\"boolean\",\"default\":false,"
                                                                                               "\"doc\":\"if the server refuses some of them, the "
                                                                                               "others "
                                                                                               "get it all the same\"}},"
                                                                                               "\"outputs\":{\"message_id\":{\"type\":\"string\"},"
                                                                                               "\"accepted\":{\"type\":\"array\",\"doc\":"
                                                                                               "\"addresses\"},"
                                                                                               "\"refused\":{\"type\":\"array\",\"doc\":\"address "
                                                                                               "and "
                                                                                               "reply of "
                                                                                               "each\"},\"reply\":{\"type\":\"string\",\"doc\":"
                                                                                               "\"what "
                                                                                               "the server said last\"}}}]}";

struct mail {
    const struct bw_plugin_host *host;
    struct mail_post *post;
    json_t *config; /* owns the strings of server */
    struct mail_server server;
};

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t len = *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
    return (len == 9 && !strncasecmp(host, "localhost", 9)) || !strncmp(host, "127.", 4) || (len == 4 && !strncmp(host, "[::1", 4));
}

static bool read_config(struct mail *mail, const char *text, char *error, size_t size)
{
    static const char *const modes[] = {[MAIL_TLS_AUTO] = "auto", [MAIL_TLS_REQUIRED] = "required", [MAIL_TLS_NONE] = "none"};
    struct mail_server *server = &mail->server;
    struct mail_address from = {0};
    const char *why = NULL;
    if (!(mail->config = json_loads(text, 0, NULL))) return false;
    const char *tls = json_string_value(json_object_get(mail->config, "tls"));
    server->url = json_string_value(json_object_get(mail->config, "server"));
    server->user = json_string_value(json_object_get(mail->config, "user"));
    server->from = json_string_value(json_object_get(mail->config, "from"));
    server->hello = json_string_value(json_object_get(mail->config, "hello"));
    server->password_secret = json_string_value(json_object_get(json_object_get(mail->config, "password"), "secret"));
    while (tls && server->tls < MAIL_TLS_NONE && strcmp(tls, modes[server->tls])) server->tls++;
    const char *scheme = server->url ? strstr(server->url, "://") : NULL;
    if (!scheme || (strncmp(server->url, "smtp://", 7) && strncmp(server->url, "smtps://", 8)) || strpbrk(scheme + 3, "/@?# ") || !scheme[3]) {
        snprintf(error, size, "server must be like smtp://mail.example.com:587 or smtps://mail.example.com:465");
        return false;
    }
    server->connections = (int)json_integer_value(json_object_get(mail->config, "connections"));
    server->is_loopback = is_loopback(server->url);
    if (server->hello && (!*server->hello || strpbrk(server->hello, " /?#%\r\n"))) {
        snprintf(error, size, "hello must be a name such as app.example.com");
        return false;
    }
    bool is_good = !server->from || mail_address_read(&from, server->from, strlen(server->from), &why);
    if (!is_good) snprintf(error, size, "from: %s", why);
    mail_address_free(&from);
    return is_good;
}

static void mail_fini(void *instance)
{
    struct mail *mail = instance;
    if (mail->post) mail_post_free(mail->post);
    json_decref(mail->config);
    free(mail);
    curl_global_cleanup();
}

static void *mail_init(const struct bw_plugin_host *host, const char *config, char *error, size_t error_size)
{
    struct mail *mail = calloc(1, sizeof *mail);
    snprintf(error, error_size, "libcurl could not be initialised");
    if (!mail || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        free(mail);
        return NULL;
    }
    mail->host = host;
    if (read_config(mail, config, error, error_size) && (mail->post = mail_post_new(host, mail->server.connections))) return mail;
    mail_fini(mail);
    return NULL;
}

static void mail_execute(void *instance, struct bw_plugin_call *call)
{
    struct mail *mail = instance;
    const char *code;
    char reason[500];
    struct mail_transfer *transfer = mail_transfer_new(mail->host, call, &mail->server, &code, reason, sizeof reason);
    if (!transfer) {
        mail->host->complete(
            mail->host, call,
            &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL, .code = code, .message = reason});
        return;
    }
    mail_post_submit_take(mail->post, transfer);
}

static void mail_cancel(void *instance, struct bw_plugin_call *call)
{
    struct mail *mail = instance;
    mail_post_cancel(mail->post, call);
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = manifest,
    .init = mail_init,
    .execute = mail_execute,
    .cancel = mail_cancel,
    .fini = mail_fini,
};
