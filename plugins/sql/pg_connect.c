/* A new connection: its name is resolved in a thread, each address is asked about, and libpq is given those that may be connected to, so that it
 * cannot resolve the name once more and differently. */
#include "pg_internal.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_MS 10000
#define ADDRESSES_MAX 8
#define KEYWORDS_MAX 48

struct pg_lookup {
    struct letter letter;
    struct pg_pool *pool;
    struct pg_connection *connection; /* NULL: it is not wanted any more */
    char *host, *port;
    struct addrinfo *found;
    int error;
};

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *at = options; at->keyword; at++)
        if (!strcmp(at->keyword, keyword)) return at->val && *at->val ? at->val : NULL;
    return NULL;
}

/* A URL may say whom to connect to and how, and name no files of this machine but authorities. */
bool pg_url_check(const PQconninfoOption *options, struct sql_fault *fault)
{
    static const char allowed[] =
        " host port dbname user password sslmode sslrootcert ssl_min_protocol_version channel_binding application_name options "
        "connect_timeout target_session_attrs keepalives keepalives_idle keepalives_interval keepalives_count "
        "tcp_user_timeout ";
    const char *host = option(options, "host"), *port = option(options, "port");
    for (const PQconninfoOption *at = options; at->keyword; at++) {
        char padded[64];
        snprintf(padded, sizeof padded, " %.60s ", at->keyword);
        if (at->val && *at->val && !strstr(allowed, padded))
            return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.url", "the URL of a database cannot hold '%s'", at->keyword);
    }
    if (!host || *host == '/' || *host == '@')
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.url", "the URL of a database must name a host: Unix sockets are closed to plugins");
    if (strchr(host, ',') || (port && strchr(port, ',')))
        return sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.url", "the URL of a database must name one host: let a name have several addresses");
    return option(options, "user") ||
           sql_fault_set(fault, BW_PLUGIN_FAIL, "sql.url", "the URL of a database must name a user, as in postgresql://USER:PASSWORD@HOST/DATABASE");
}

/* ---- name → addresses ---- */

static void resolve(struct pg_lookup *lookup, int flags)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    lookup->error = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
}

static void *resolve_in_thread(void *arg)
{
    struct pg_lookup *lookup = arg;
    resolve(lookup, AI_ADDRCONFIG);
    mailbox_post(lookup->pool->mailbox, &lookup->letter);
    return NULL;
}

static void lookup_free(struct pg_lookup *lookup)
{
    if (lookup->found) freeaddrinfo(lookup->found);
    free(lookup->host);
    free(lookup->port);
    free(lookup);
}

void pg_connect_forget(struct pg_connection *connection)
{
    connection->lookup->connection = NULL;
    connection->lookup = NULL;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
}

struct addresses {
    char hosts[2048], list[ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)]; /* as many names as addresses: libpq wants pairs */
    bool is_loopback;                                               /* all of them */
    bool was_refused;                                               /* one of them, or more */
};

static void choose(const struct pg_lookup *lookup, struct addresses *chosen)
{
    const struct bw_plugin_host *host = lookup->pool->host;
    size_t count = 0, hosts_len = 0, list_len = 0;
    *chosen = (struct addresses){.is_loopback = true};
    for (const struct addrinfo *at = lookup->found; at && count < ADDRESSES_MAX; at = at->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (!host->may_connect(host, at->ai_addr, at->ai_addrlen)) {
            chosen->was_refused = true;
            continue;
        }
        if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST)) continue;
        if (hosts_len + strlen(lookup->host) + 2 > sizeof chosen->hosts) break;
        hosts_len += (size_t)sprintf(chosen->hosts + hosts_len, "%s%s", count ? "," : "", lookup->host);
        list_len += (size_t)sprintf(chosen->list + list_len, "%s%s", count ? "," : "", text);
        chosen->is_loopback &= is_loopback(at->ai_addr);
        count++;
    }
}

/* ---- addresses → connection ---- */

struct keywords {
    const char *names[KEYWORDS_MAX + 1], *values[KEYWORDS_MAX + 1];
    size_t count;
};

static void set(struct keywords *keywords, const char *name, const char *value)
{
    size_t i = 0;
    while (i < keywords->count && strcmp(keywords->names[i], name)) i++;
    if (!value || i == KEYWORDS_MAX) return;
    keywords->names[i] = name;
    keywords->values[i] = value;
    if (i == keywords->count) keywords->count++;
}

static const char *authorities(void)
{
    const char *file = getenv("SSL_CERT_FILE");
    return file && *file ? file : "/etc/ssl/certs/ca-certificates.crt";
}

/* What the environment, a home folder or Kerberos could say is said here instead: the URL is all that counts. */
static void fill(struct keywords *keywords, const PQconninfoOption *options, const struct addresses *chosen)
{
    static const char nowhere[] = "/nonexistent";
    const char *mode = option(options, "sslmode");
    set(keywords, "application_name", "bellwire");
    set(keywords, "sslmode", chosen->is_loopback ? "prefer" : "verify-full");
    set(keywords, "dbname", option(options, "user"));
    set(keywords, "port", "5432");
    set(keywords, "options", "-c client_min_messages=error");
    set(keywords, "target_session_attrs", "any");
    for (const PQconninfoOption *at = options; at->keyword; at++)
        if (at->val && *at->val) set(keywords, at->keyword, at->val);
    if ((mode ? !strncmp(mode, "verify", 6) : !chosen->is_loopback) && !option(options, "sslrootcert")) set(keywords, "sslrootcert", authorities());
    if (!mode && chosen->is_loopback) set(keywords, "sslrootcert", nowhere);
    set(keywords, "host", chosen->hosts);
    set(keywords, "hostaddr", chosen->list);
    set(keywords, "client_encoding", "UTF8");
    set(keywords, "gssencmode", "disable");
    set(keywords, "passfile", nowhere);
    set(keywords, "sslcert", nowhere);
    set(keywords, "sslcrl", nowhere);
}

static void give_up(struct pg_connection *connection, const struct sql_fault *fault)
{
    struct pg_pool *pool = connection->pool;
    pg_connection_fail(connection, fault);
    pg_connection_close(connection);
    pg_pool_serve(pool);
}

static void give_up_connecting(struct pg_connection *connection)
{
    struct sql_fault fault;
    char what[200];
    snprintf(what, sizeof what, "database '%.100s' cannot be connected to", connection->pool->config->name);
    pg_fault_of_connection(connection->pg, what, &fault);
    give_up(connection, &fault);
}

static void on_notice(void *arg, const PGresult *result)
{
    (void)arg, (void)result; /* of the server to a person at a terminal */
}

static void connect_to(struct pg_connection *connection, const struct addresses *chosen)
{
    struct keywords keywords = {.count = 0};
    const char *own = option(connection->pool->options, "connect_timeout");
    long seconds = own ? strtol(own, NULL, 10) : 0;
    fill(&keywords, connection->pool->options, chosen);
    connection->state = PG_CONNECTING;
    connection->pg = PQconnectStartParams(keywords.names, keywords.values, 0);
    if (!connection->pg || PQstatus(connection->pg) == CONNECTION_BAD) {
        give_up_connecting(connection);
        return;
    }
    PQsetErrorVerbosity(connection->pg, PQERRORS_VERBOSE); /* with the SQLSTATE, until it stands */
    PQsetNoticeReceiver(connection->pg, on_notice, NULL);
    pg_connection_time(connection, seconds > 0 && seconds < 3600 ? seconds * 1000 : CONNECT_MS);
    pg_connection_watch(connection, BW_PLUGIN_WRITE);
}

void pg_connect_go_on(struct pg_connection *connection)
{
    switch (PQconnectPoll(connection->pg)) {
    case PGRES_POLLING_READING: pg_connection_watch(connection, BW_PLUGIN_READ); return;
    case PGRES_POLLING_WRITING: pg_connection_watch(connection, BW_PLUGIN_WRITE); return;
    case PGRES_POLLING_OK:
        pg_connection_time(connection, 0);
        PQsetErrorVerbosity(connection->pg, PQERRORS_DEFAULT);
        PQsetnonblocking(connection->pg, 1);
        pg_connection_watch(connection, BW_PLUGIN_READ);
        pg_session_clean(connection);
        return;
    default: give_up_connecting(connection);
    }
}

static void on_resolved(struct pg_lookup *lookup)
{
    struct pg_connection *connection = lookup->connection;
    const char *name = lookup->pool->config->name;
    struct addresses chosen;
    struct sql_fault fault;
    if (!connection) return;
    connection->lookup = NULL;
    choose(lookup, &chosen);
    if (lookup->error || (!*chosen.list && !chosen.was_refused)) {
        bool may_pass = lookup->error == EAI_AGAIN || lookup->error == EAI_SYSTEM || lookup->error == EAI_MEMORY;
        sql_fault_set(&fault, may_pass ? BW_PLUGIN_RETRY : BW_PLUGIN_FAIL, "sql.name", "the host of database '%s' is not found: %s", name,
                      lookup->error ? gai_strerror(lookup->error) : "it has no address");
        give_up(connection, &fault);
    } else if (!*chosen.list) {
        sql_fault_set(&fault, BW_PLUGIN_FAIL, "sql.address_denied",
                      "the host of database '%s' has a private or loopback address, which this instance does not allow (allow_private_network in "
                      "bellwire.yaml)",
                      name);
        give_up(connection, &fault);
    } else {
        connect_to(connection, &chosen);
    }
}

static void on_letter(struct letter *letter)
{
    struct pg_lookup *lookup = (struct pg_lookup *)((char *)letter - offsetof(struct pg_lookup, letter));
    lookup->pool->lookups--;
    on_resolved(lookup);
    lookup_free(lookup);
}

static struct pg_lookup *lookup_new(struct pg_connection *connection)
{
    const PQconninfoOption *options = connection->pool->options;
    const char *port = option(options, "port");
    struct pg_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup) return NULL;
    *lookup = (struct pg_lookup){.letter.open = on_letter, .pool = connection->pool, .connection = connection};
    lookup->host = strdup(option(options, "host"));
    lookup->port = strdup(port ? port : "5432");
    if (lookup->host && lookup->port) return lookup;
    lookup_free(lookup);
    return NULL;
}

void pg_connect_begin(struct pg_connection *connection)
{
    struct sql_fault fault;
    pthread_t thread;
    struct pg_lookup *lookup = lookup_new(connection);
    if (!lookup) {
        sql_fault_set(&fault, BW_PLUGIN_RETRY, "sql.memory", "out of memory");
        give_up(connection, &fault);
        return;
    }
    connection->lookup = lookup;
    resolve(lookup, AI_NUMERICHOST | AI_NUMERICSERV);
    if (lookup->error != EAI_NONAME) { /* it is an address: nobody need be asked */
        on_resolved(lookup);
        lookup_free(lookup);
        return;
    }
    if (pthread_create(&thread, NULL, resolve_in_thread, lookup)) {
        sql_fault_set(&fault, BW_PLUGIN_RETRY, "sql.memory", "no thread to look up the host of database '%s'", connection->pool->config->name);
        give_up(connection, &fault);
        lookup_free(lookup);
        return;
    }
    pthread_detach(thread);
    connection->pool->lookups++;
}
