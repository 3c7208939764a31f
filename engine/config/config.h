/* config.h: bellwire.yaml → an immutable struct. Everything has a default: a folder without the file is a valid configuration.
 * Secrets may come from programs ({exec: […]}): then loading starts them and waits for each, 10 s at most. So it is for the time before anything is
 * served.
 *
 * bw_config_load() reports every error it finds (unknown keys with "did you mean", wrong types, unreadable secrets, empty secrets,
 * plain HTTP off loopback without allow_plaintext, two sources on one path), each with file:line:column. Relative paths are relative
 * to the file's folder. Immutable after load, any thread may read it; the owner frees it after every reader is gone. The keys are one
 * table: name, type, default, help. */
#ifndef BW_CONFIG_CONFIG_H
#define BW_CONFIG_CONFIG_H
#include "base/buf.h"
#include "base/error.h"
#include "base/net_range.h"
#include "config/manners.h"
#include <stdint.h>

#define BW_BODY_BYTES_HARD (16u << 20)
#define BW_BODY_BYTES_HARD_GITHUB (25u << 20) /* so much does GitHub send */

struct bw_schema;

struct bw_secret { /* one name with one or more values (rotation): the first signs, all verify */
    char *name;
    struct bw_slice *values; /* NUL-terminated behind len; wiped on free */
    size_t count;
};

struct bw_rate_config { /* count 0: none */
    int64_t count;      /* so many requests … */
    int64_t period_ms;  /* … in this time */
    int64_t burst;      /* so many at once after a rest */
};

struct bw_mcp_config { /* config/mcp.h */
    bool is_on;
    int64_t within_ms; /* so long a call waits for the end of its run */
    char **origins;    /* of web pages that may send, besides those of this machine */
    size_t origin_count;
};

struct bw_source_config {
    char *name;   /* [a-z][a-z0-9-]{0,63} */
    char *path;   /* exact path, begins with '/' */
    char *verify; /* scheme name, or "none" written out */
    struct bw_secret *secrets;
    size_t secret_count;
    char *event;       /* fixed event name after the source's, or NULL */
    char **event_refs; /* value refs (verification.md section 2) that override the scheme's */
    size_t event_ref_count;
    char **dedupe_refs; /* override of the scheme's id refs */
    size_t dedupe_ref_count;
    int64_t dedupe_window_ms; /* 3 d */
    uint64_t max_body_bytes;  /* default the instance's; at most 16 MiB, or 25 MiB with verify: github */
    char *public_url;         /* as the provider knows it, or NULL */
    char **options;           /* parameters of generic schemes as NAME=VALUE (hmac: header, algorithm, encoding, prefix, …) */
    size_t option_count;
    struct bw_acknowledge acknowledge;  /* as the scheme says, unless it is given */
    struct bw_accepts accepts;          /* the same */
    bool keeps_batches;                 /* a request with several events in it is one event all the same */
    struct bw_schema *schema;           /* of the body; NULL: anything */
    struct bw_rate_config rate;         /* of all its requests together, those that are verified */
    struct bw_rate_config address_rate; /* of each address that sends */
    struct bw_net_range *allow;         /* who may send at all */
    size_t allow_count;                 /* 0: anybody */
    const char *file;                   /* where it is written, NULL = nowhere; borrowed */
    int line, column;                   /* of its name */
    int path_line, path_column;
    struct bw_mcp_config mcp; /* its requests are messages of the Model Context Protocol */
    bool is_trigger;          /* a `webhook` trigger of the workflow of that name */
};

struct bw_listen { /* a port, or a Unix socket */
    char *host;    /* numeric address; NULL: a Unix socket */
    uint16_t port; /* 0 = any free port, logged at start */
    bool is_tls;
    char *path;    /* of a Unix socket, ready to open; NULL: a port */
    unsigned mode; /* of its file */
};

struct bw_tls_pair { /* paths of PEM files */
    char *cert, *key;
};
struct bw_tls_config {
    struct bw_tls_pair *pairs; /* one at least as soon as a listener is_tls; the first is for names that none has */
    size_t pair_count;
    char *client_ca, *client_crl; /* NULL: none. With client_ca clients show certificates */
    bool client_required;
    char **client_names; /* none: any that the authority has signed */
    size_t client_name_count;
    struct bw_tls_pair pair; /* while it is read */
    const char *file;        /* where it is written; borrowed from the configuration */
    int line, column;
};

struct bw_retention_config { /* how long finished things stay; 0 = for ever */
    int64_t deliveries_ms;   /* 14 d */
    int64_t events_ms;       /* 30 d, and as long as a run of theirs is there */
    int64_t succeeded_ms;    /* 14 d: runs that succeeded, were skipped or cancelled */
    int64_t failed_ms;       /* 90 d; from when it was resolved */
    uint64_t max_size_bytes; /* of the database; 0 = no cap */
};

struct bw_limit_config {  /* what steps share by name; engine/dispatch/limiter.h says how it works */
    char *name;           /* [a-z][a-z0-9-]{0,63}, not "none" */
    double rate_count;    /* so much cost … */
    int64_t rate_ms;      /* … in this time; 0 = no rate */
    double burst;         /* at least 1 */
    unsigned concurrency; /* 0 = any number */
};

struct bw_budget_config {            /* what metered calls may take; -1 = any */
    int64_t calls, tokens, cost, ms; /* cost: millionths of the currency */
};
struct bw_workflow_budget {
    char *workflow;
    int line, column;
    struct bw_budget_config day, run;
};
struct bw_budgets_config {
    struct bw_budget_config day, run; /* of all workflows together; of each run */
    struct bw_workflow_budget *workflows;
    size_t workflow_count;
};

#define BW_CONFIG_POOL_DEFAULT "default"
struct bw_pool_config { /* run workers that execute the runs of workflows with `pool: NAME`, and nothing else */
    char *name;         /* [a-z][a-z0-9-]{0,63}, not "default": that is what `workers` sizes */
    unsigned workers;   /* 1 */
};

struct bw_config {
    char *file;   /* path of bellwire.yaml, or NULL when there is none */
    char *folder; /* what relative paths are relative to */
    struct bw_listen *listen;
    size_t listen_count;
    struct bw_tls_config tls;
    bool allow_plaintext;
    char *public_url; /* as people reach it, without a slash at the end; NULL: the first port that it listens on */
    char *data, *workflows, *actions, *plugins, *schemes; /* ready to open */
    unsigned workers;                                     /* of the default pool; default: cores - 1, at least 1 */
    unsigned ingest_threads;                              /* default: 1 up to 2 cores, cores / 2 above, at most 4 */
    uint64_t max_body_bytes;                              /* 1 MiB, hard maximum 16 MiB */
    uint64_t max_output_bytes;                            /* of a step: 1 MiB, hard maximum 8 MiB */
    uint64_t max_run_output_bytes;                        /* of all steps of a run: 16 MiB, hard maximum 64 MiB */
    unsigned max_connections;                             /* 10,000 */
    unsigned max_connections_per_address;                 /* 256; loopback and trusted proxies: any number */
    int64_t request_deadline_ms;                          /* 10 s: first byte to the end of the head; and for a body before it must keep to … */
    uint64_t body_rate;                                   /* 1 KiB a second */
    int64_t idle_ms;                                      /* 30 s keep-alive */
    uint64_t lua_memory_bytes;                            /* 32 MiB per run */
    int64_t stall_ms;                                     /* 2 s: longest time that user code may hold a worker without giving way */
    int64_t drain_ms;                                     /* 30 s */
    struct bw_net_range *trusted_proxies;                 /* whose X-Forwarded-For is believed */
    size_t trusted_proxy_count;
    bool allow_private_network; /* outgoing calls to loopback and private addresses; default false */
    struct bw_retention_config retention;
    struct bw_source_config *sources;
    size_t source_count;
    struct bw_secret *secrets; /* what workflows may be granted */
    size_t secret_count;
    bool without_secrets, without_programs; /* how it was loaded */
    struct bw_pool_config *pools;           /* without the default one */
    size_t pool_count;
    struct bw_budgets_config budgets;
    struct bw_limit_config *limits;
    size_t limit_count;
    char *values;    /* `config`: compact JSON object */
    char *configure; /* `configure` and `plugins_may`: compact JSON object, of the shape that configure.h says */
    char *for_start; /* the keys that are read at the start only, as they are written: compact JSON object */
};

/* path NULL: ./bellwire.yaml if it exists, else defaults. NULL when there is any error. */
struct bw_config *bw_config_load(const char *path, struct bw_errors *errs);
/* The same where nobody has the secrets (`bellwire test`): each one's value is "secret-" and its name. */
struct bw_config *bw_config_load_without_secrets(const char *path, struct bw_errors *errs);
/* A text as if it stood in this file, which is not read, nor is any other: secrets have the values of bw_config_load_without_secrets(). */
struct bw_config *bw_config_parse(const char *file, struct bw_slice text, struct bw_errors *errs);
/* bw_config_load() where nobody uses them (commands that only look): no program is run for its secret, which has that value. */
struct bw_config *bw_config_load_without_programs(const char *path, struct bw_errors *errs);
/* The same while the engine serves, without waiting for anybody: a program's secret has the value of its last run in this process. */
struct bw_config *bw_config_load_again(const char *path, struct bw_errors *errs);
/* What may change while the engine serves, as config->file says it now; as in struct bw_config. Secrets are read again, and nobody is waited for:
 * that of a program has the value of its last run. False: errs has what is wrong, and `out` is empty. */
struct bw_config_live {
    char *values, *configure;
    struct bw_secret *secrets;
    size_t secret_count;
    struct bw_budgets_config budgets;
    struct bw_limit_config *limits;
    size_t limit_count;
};
bool bw_config_load_live(const struct bw_config *config, struct bw_config_live *out, struct bw_errors *errs);
/* The keys of `now` that say something else than they did when `before` was read, and that only a start reads: "limits, pools". Nothing if there are
 * none. */
void bw_config_append_for_start(const struct bw_config *before, const struct bw_config *now, struct bw_buf *out);
void bw_config_live_free(struct bw_config_live *live);
void bw_config_free(struct bw_config *config);
void bw_config_help(struct bw_buf *out); /* the reference of all keys, made from the table */
size_t
bw_config_first_port(const struct bw_config *config); /* index of the first in `listen` that is one; listen_count: there are only Unix sockets */
/* What links to this engine begin with. port: of bw_config_first_port(), when it had any free one; 0 = as configured. */
void bw_config_public_url(const struct bw_config *config, uint16_t port, struct bw_buf *out);
const struct bw_secret *bw_secret_find(const struct bw_secret *secrets, size_t count, struct bw_slice name);
#endif
