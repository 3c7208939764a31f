#include "connection.h"
#include "base/libcurl.h"
#include "url.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *text_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* ---- what is configured ---- */

static bool check_base(const struct http_connection *connection, char *error, size_t size)
{
    const char *url = connection->base_url;
    if (http_url_same_origin(url, url) && !http_url_has_user(url) && !strpbrk(url, "?# \t\r\n")) return true;
    snprintf(error, size, "connection '%s': base_url must be https://HOST/PATH or http://HOST/PATH, without user, query and fragment",
             connection->name);
    return false;
}

static bool check_headers(const struct http_connection *connection, char *error, size_t size)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(connection->config, "headers"), name, value)
    {
        struct curl_slist *line = NULL;
        bool good = json_is_string(value) && strcasecmp(name, "authorization") != 0 && http_header_add(&line, name, json_string_value(value));
        curl_slist_free_all(line);
        if (good) continue;
        snprintf(error, size, "connection '%s': header '%.100s' must be a text without line breaks, and no credential: those are `auth`",
                 connection->name, name);
        return false;
    }
    return true;
}

static bool check_oauth2(const struct http_connection *connection, const json_t *oauth2, char *error, size_t size)
{
    const char *url = text_at(oauth2, "token_url"), *how = text_at(oauth2, "client_auth"), *name;
    bool is_by_tls = how && !strcmp(how, "tls");
    json_t *value;
    if (!http_url_same_origin(url, url) || http_url_has_user(url) || strchr(url, '#')) {
        snprintf(error, size, "connection '%s': token_url must be https:// or http://, without user and fragment", connection->name);
        return false;
    }
    if (is_by_tls != !json_object_get(oauth2, "client_secret") ||
        (is_by_tls && !json_object_get(json_object_get(connection->config, "tls"), "certificate"))) {
        snprintf(error, size, "connection '%s': oauth2 needs client_secret, or client_auth: tls and a certificate", connection->name);
        return false;
    }
    json_object_foreach(json_object_get(oauth2, "params"), name, value)
    {
        static const char *const ours[] = {"grant_type", "scope", "client_id", "client_secret"};
        bool good = json_is_string(value);
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) good = good && strcmp(name, ours[i]) != 0;
        if (good) continue;
        snprintf(error, size, "connection '%s': '%.100s' of oauth2.params must be a text, and none that oauth2 has a field for", connection->name,
                 name);
        return false;
    }
    return true;
}

static bool check_ways(const struct http_connection *connection, char *error, size_t size)
{
    const json_t *tls = json_object_get(connection->config, "tls"), *proxy = json_object_get(connection->config, "proxy"),
                 *auth = json_object_get(connection->config, "auth");
    const char *proxy_url = text_at(proxy, "url");
    if (tls && strncasecmp(connection->base_url, "https://", 8) != 0)
        snprintf(error, size, "connection '%s' has tls, but its base_url is not https://", connection->name);
    else if (!json_object_get(tls, "certificate") != !json_object_get(tls, "key"))
        snprintf(error, size, "connection '%s': certificate and key belong together", connection->name);
    else if (proxy && (strncasecmp(proxy_url, "http://", 7) != 0 || !http_url_same_origin(proxy_url, proxy_url) || http_url_has_user(proxy_url)))
        snprintf(error, size, "connection '%s': a proxy's url must be http://HOST:PORT; its user and password are fields of their own",
                 connection->name);
    else if (proxy && !json_object_get(proxy, "user") != !json_object_get(proxy, "password"))
        snprintf(error, size, "connection '%s': user and password of the proxy belong together", connection->name);
    else if (auth && json_object_size(auth) != 1)
        snprintf(error, size, "connection '%s': auth must have one of basic, bearer, header, oauth2", connection->name);
    else
        return true;
    return false;
}

static bool read_connection(struct http_connections *connections, const json_t *from, char *error, size_t size)
{
    const json_t *oauth2 = json_object_get(json_object_get(from, "auth"), "oauth2");
    struct http_connection *connection = &connections->list[connections->count];
    connection->config = from;
    connection->name = text_at(from, "name");
    connection->base_url = text_at(from, "base_url");
    for (size_t i = 0; i < connections->count; i++)
        if (!strcmp(connections->list[i].name, connection->name)) {
            snprintf(error, size, "there are two connections with the name '%s'", connection->name);
            return false;
        }
    if (!check_base(connection, error, size) || !check_headers(connection, error, size) || !check_ways(connection, error, size) ||
        (oauth2 && !check_oauth2(connection, oauth2, error, size)))
        return false;
    connections->count++;
    snprintf(error, size, "out of memory");
    return (connection->loop = http_loop_new(connections->host, http_transfer_over)) &&
           (!oauth2 || (connection->token = http_token_new(connections->host, connection, oauth2)));
}

bool http_connections_read(struct http_connections *connections, const struct bw_plugin_host *host, const char *config, char *error, size_t size)
{
    *connections = (struct http_connections){.host = host, .json = json_loads(config, 0, NULL)};
    const json_t *list = json_object_get(connections->json, "connections");
    size_t index;
    json_t *one;
    snprintf(error, size, "out of memory");
    if (!connections->json) return false;
    const char *reason = json_array_size(list) ? bw_libcurl_load() : NULL;
    if (reason) {
        snprintf(error, size, "%s", reason);
        return false;
    }
    if (json_array_size(list) && !(connections->list = calloc(json_array_size(list), sizeof *connections->list))) return false;
    json_array_foreach(list, index, one) if (!read_connection(connections, one, error, size)) return false;
    return true;
}

void http_connections_free(struct http_connections *connections)
{
    for (size_t i = 0; i < connections->count; i++) {
        http_token_free(connections->list[i].token);
        http_loop_free(connections->list[i].loop);
    }
    free(connections->list);
    json_decref(connections->json);
    *connections = (struct http_connections){0};
}

struct http_connection *http_connections_find(const struct http_connections *connections, const char *name, char *reason, size_t size)
{
    char known[300] = "";
    for (size_t i = 0; i < connections->count; i++) {
        size_t len = strlen(known);
        if (!strcmp(connections->list[i].name, name)) return &connections->list[i];
        snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", connections->list[i].name);
    }
    if (*known)
        snprintf(reason, size, "there is no connection '%.100s'; configured: %s", name, known);
    else
        snprintf(reason, size, "there is no connection '%.100s': none is configured (configure: {http: {connections: […]}})", name);
    return NULL;
}

/* ---- a request of it ---- */

char *http_connection_url(const struct http_connection *connection, const char *url, char *reason, size_t size)
{
    char *made = NULL;
    snprintf(reason, size, "out of memory");
    if (http_url_has_scheme(url)) {
        if (!(made = strdup(url))) return NULL;
    } else if (!*url || *url == '/' || *url == '?') {
        size_t base_len = strlen(connection->base_url), len = base_len + strlen(url) + 1;
        if (*url == '/' && connection->base_url[base_len - 1] == '/') base_len--;
        if (!(made = malloc(len))) return NULL;
        snprintf(made, len, "%.*s%s", (int)base_len, connection->base_url, url);
    }
    if (made && http_url_same_origin(made, connection->base_url) && !http_url_has_user(made)) return made;
    free(made);
    snprintf(reason, size, "url must be a path that begins with / or ?, or a URL of the connection's own host (%.200s), without a user",
             connection->base_url);
    return NULL;
}

const char *http_connection_secret(const json_t *part, const char *field, const struct bw_plugin_host *host, const struct bw_plugin_call *call,
                                   char *reason, size_t size)
{
    const char *name = text_at(json_object_get(part, field), "secret"), *value = name ? host->secret(host, call, name) : NULL;
    if (name && !value) snprintf(reason, size, "the secret '%.100s', which the connection names, is not there", name);
    return value;
}

char *http_basic(const char *user, const char *password)
{
    size_t len = strlen(user) + strlen(password) + 1;
    char *plain = malloc(len + 1), *encoded = malloc(len / 3 * 4 + 5);
    if (plain && encoded) {
        snprintf(plain, len + 1, "%s:%s", user, password);
        EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, (int)len);
    } else {
        free(encoded);
        encoded = NULL;
    }
    if (plain) OPENSSL_cleanse(plain, len);
    free(plain);
    return encoded;
}

/* Of what the connection has for that, the step may write nothing itself. */
static bool add_credential(struct curl_slist **headers, const char *name, const char *kind, const char *credential, char *reason, size_t size)
{
    size_t len = strlen(kind) + strlen(credential) + 1;
    char *value = malloc(len);
    bool good = false;
    if (http_header_has(*headers, name)) {
        snprintf(reason, size, "the header %.100s is the connection's: leave it out", name);
    } else if (value) {
        snprintf(value, len, "%s%s", kind, credential);
        snprintf(reason, size, "the connection's secret cannot be sent as a header: it has a line break, or more than 8 kB");
        good = http_header_add(headers, name, value);
    }
    if (value) OPENSSL_cleanse(value, len);
    free(value);
    return good;
}

bool http_connection_headers(const struct http_connection *connection, const struct bw_plugin_host *host, const struct bw_plugin_call *call,
                             struct curl_slist **headers, char **credential, char *reason, size_t size)
{
    const json_t *auth = json_object_get(connection->config, "auth"), *basic = json_object_get(auth, "basic"),
                 *bearer = json_object_get(auth, "bearer"), *header = json_object_get(auth, "header");
    const char *name, *secret = NULL;
    json_t *value;
    *credential = NULL;
    snprintf(reason, size, "out of memory");
    json_object_foreach(json_object_get(connection->config, "headers"), name,
                        value) if (!http_header_has(*headers, name) && !http_header_add(headers, name, json_string_value(value))) return false;
    if (!auth) return true;
    if (connection->token) {
        if (!http_header_has(*headers, "authorization")) return true;
        snprintf(reason, size, "the header Authorization is the connection's: leave it out");
        return false;
    }
    if (basic && (secret = http_connection_secret(basic, "password", host, call, reason, size)))
        *credential = http_basic(text_at(basic, "user"), secret);
    else if (bearer && (secret = http_connection_secret(bearer, "token", host, call, reason, size)))
        *credential = strdup(secret);
    else if (header && (secret = http_connection_secret(header, "value", host, call, reason, size)))
        *credential = strdup(secret);
    return *credential && add_credential(headers, header ? text_at(header, "name") : "Authorization",
                                         basic    ? "Basic "
                                         : bearer ? "Bearer "
                                                  : "",
                                         *credential, reason, size);
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = {.data = (void *)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool set_tls(const json_t *tls, const struct bw_plugin_call *call, struct http_transfer *transfer, char *reason, size_t size)
{
    static const struct {
        const char *field;
        CURLoption option;
    } parts[] = {{"ca", CURLOPT_CAINFO_BLOB}, {"certificate", CURLOPT_SSLCERT_BLOB}, {"key", CURLOPT_SSLKEY_BLOB}};
    CURL *easy = transfer->easy;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!json_object_get(tls, parts[i].field)) continue;
        const char *pem = http_connection_secret(tls, parts[i].field, transfer->host, call, reason, size);
        if (!pem || !set_blob(easy, parts[i].option, pem)) return false;
    }
    if (json_object_get(tls, "ca")) { /* those and no others */
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    const char *password = http_connection_secret(tls, "key_password", transfer->host, call, reason, size);
    /* OpenSSL would ask for one that is missing, at the terminal */
    return curl_easy_setopt(easy, CURLOPT_KEYPASSWD, password ? password : "") == CURLE_OK && (password || !json_object_get(tls, "key_password"));
}

static bool set_proxy(const json_t *proxy, const struct bw_plugin_call *call, struct http_transfer *transfer, char *reason, size_t size)
{
    const char *user = text_at(proxy, "user"), *password;
    CURL *easy = transfer->easy;
    if (curl_easy_setopt(easy, CURLOPT_PROXY, text_at(proxy, "url")) != CURLE_OK) return false;
    if (!user) return true;
    if (!(password = http_connection_secret(proxy, "password", transfer->host, call, reason, size))) return false;
    return curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, user) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, password) == CURLE_OK;
}

bool http_connection_equip(const struct http_connection *connection, const struct bw_plugin_call *call, struct http_transfer *transfer, char *reason,
                           size_t size)
{
    const json_t *tls = json_object_get(connection->config, "tls"), *proxy = json_object_get(connection->config, "proxy");
    snprintf(reason, size, "out of memory");
    return (!tls || set_tls(tls, call, transfer, reason, size)) && (!proxy || set_proxy(proxy, call, transfer, reason, size));
}
