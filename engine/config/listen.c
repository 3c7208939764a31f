#include "config/listen.h"
#include "base/file.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define MODE_OTHERWISE 0660

bool bw_listen_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool split_url(const char *url, char *host, size_t size, long *port)
{
    const char *at = strstr(url, "://") + 3, *end;
    struct in6_addr address;
    if (*at == '[') {
        end = strchr(++at, ']');
        if (!end || (size_t)(end - at) >= size || end[1] != ':') return false;
        memcpy(host, at, (size_t)(end - at));
        host[end - at] = '\0';
        end += 2;
    } else {
        end = strchr(at, ':');
        if (!end || (size_t)(end - at) >= size) return false;
        memcpy(host, at, (size_t)(end - at));
        host[end - at] = '\0';
        end++;
    }
    if (!strcmp(host, "localhost")) snprintf(host, size, "127.0.0.1");
    if (inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1) return false;
    size_t digits = strspn(end, "0123456789"); /* strtol() would take blanks and signs */
    *port = digits && digits <= 5 ? strtol(end, NULL, 10) : -1;
    return *port >= 0 && *port <= 65535 && (!end[digits] || !strcmp(end + digits, "/"));
}

/* "0660", and nothing that is no permission. */
static bool read_mode(const char *text, unsigned *mode)
{
    size_t digits = strspn(text, "01234567");
    *mode = digits >= 3 && digits <= 4 && !text[digits] ? (unsigned)strtoul(text, NULL, 8) : 0;
    return *mode && !(*mode & ~0777u);
}

static void read_path(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *path, struct bw_config *config)
{
    static const size_t longest = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    const char *query = strchr(path, '?');
    struct bw_listen listen = {.mode = MODE_OTHERWISE};
    if (query && (strncmp(query, "?mode=", 6) || !read_mode(query + 6, &listen.mode))) {
        bw_key_error(context, node, "listen.url", "write for example unix:/run/bellwire/http.sock?mode=0660",
                     "'%s' is no permission of a socket file: mode and three or four octal digits are needed", query + 1);
        return;
    }
    char *name = bw_slice_dup((struct bw_slice){path, query ? (size_t)(query - path) : strlen(path)});
    size_t len = name ? strlen(name) : 0;
    if (len && name[len - 1] != '/') listen.path = bw_file_join(config->folder, name);
    free(name);
    if (!listen.path) {
        bw_key_error(context, node, "listen.url", "write for example unix:/run/bellwire/http.sock", "'unix:%s' names no file for a socket", path);
    } else if (strlen(listen.path) > longest) {
        bw_key_error(context, node, "listen.url", "a folder nearer to the root, such as /run/bellwire, leaves more room",
                     "the path %s is longer than the %zu bytes that the system takes for a socket", listen.path, longest);
        free(listen.path);
    } else {
        config->listen[config->listen_count++] = listen;
    }
}

static void read_url(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_config *config)
{
    char host[64];
    long port = 0;
    const char *url = node->kind == BW_YAML_STRING ? node->text.ptr : "";
    bool is_tls = !strncmp(url, "https://", 8);
    if (!strncmp(url, "unix:", 5)) {
        read_path(context, node, url + 5, config);
        return;
    }
    if ((!is_tls && strncmp(url, "http://", 7)) || !split_url(url, host, sizeof host, &port)) {
        bw_key_error(context, node, "listen.url",
                     "write for example http://127.0.0.1:8080, https://0.0.0.0:8443, http://[::1]:8080 or unix:/run/bellwire/http.sock",
                     "'%s' is no address to listen on: scheme, numeric address and port are needed", url);
        return;
    }
    if (is_tls && !config->tls.pair_count)
        bw_key_error(context, node, "listen.no_certificate", "write tls: {cert: FILE, key: FILE}; scripts/dev-cert makes a pair to try it with",
                     "'%s' needs a certificate", url);
    if (!is_tls && !config->allow_plaintext && !bw_listen_is_loopback(host))
        bw_key_error(
            context, node, "listen.plaintext",
            "listen on https:// with tls: {cert, key}, put a TLS proxy in front, or write `allow_plaintext: true` if this network is trusted",
            "plain HTTP on %s would send secrets and events over the network in the clear", host);
    config->listen[config->listen_count++] = (struct bw_listen){.is_tls = is_tls, .host = bw_slice_dup(bw_slice_of(host)), .port = (uint16_t)port};
}

void bw_listen_read(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_config *config)
{
    size_t count = node && node->kind == BW_YAML_LIST ? node->count : 1;
    if (!(config->listen = calloc(count + 1, sizeof *config->listen))) return;
    if (!node) {
        config->listen[0] = (struct bw_listen){.host = bw_slice_dup(bw_slice_of("127.0.0.1")), .port = 8080};
        config->listen_count = 1;
    } else if (node->kind == BW_YAML_LIST) {
        if (!node->count) bw_key_error(context, node, "listen.none", "write for example http://127.0.0.1:8080", "listen needs at least one address");
        for (size_t i = 0; i < node->count; i++) read_url(context, node->items[i], config);
    } else {
        read_url(context, node, config);
    }
}

void bw_listen_free(struct bw_listen *listen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(listen[i].host);
        free(listen[i].path);
    }
    free(listen);
}

void bw_listen_append_url(struct bw_buf *out, const struct bw_listen *listen, uint16_t port)
{
    if (listen->path)
        bw_buf_printf(out, "unix:%s", listen->path);
    else
        bw_buf_printf(out, strchr(listen->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", listen->is_tls ? "https" : "http", listen->host,
                      port ? port : listen->port);
}
