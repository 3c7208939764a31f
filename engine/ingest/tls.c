#include "ingest/tls.h"
#include "ingest/handshakes.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHAIN_DEPTH_MAX 5
#define TICKET_SECONDS 3600

struct bw_tls {
    atomic_uint references;
    SSL_CTX **contexts; /* one for each certificate */
    size_t context_count;
    int days_left;
    char *first_to_end; /* its file */
};

/* ---- errors ---- */

/* What OpenSSL says last is nearest to the cause. */
static bool explain(struct bw_error *err, const char *code, const char *file, const char *what, const char *hint)
{
    char reason[200];
    unsigned long last = ERR_peek_last_error();
    const char *text = last ? ERR_reason_error_string(last) : NULL;
    if (last && !text) ERR_error_string_n(last, reason, sizeof reason);
    bw_error_set(err, code, "%s%s%s", what, last ? ": " : "", !last ? "" : text ? text : reason);
    bw_error_hint(err, "%s", hint);
    bw_error_at(err, file, 0, 0);
    ERR_clear_error();
    return false;
}

/* ---- one certificate ---- */

static bool set_policy(SSL_CTX *context)
{
    static const unsigned char session_context[] = "bellwire";
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* An idle connection keeps no buffers; what is left of an answer is written from where it was copied to. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);                          /* a record in one system call, not its length first */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets do */
    SSL_CTX_set_timeout(context, TICKET_SECONDS);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_info_callback(context, bw_handshakes_watch);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) && SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") &&
           SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
}

static bool load_pair(SSL_CTX *context, const struct bw_tls_pair *pair, struct bw_error *err)
{
    struct stat info;
    if (SSL_CTX_use_certificate_chain_file(context, pair->cert) != 1)
        return explain(err, "tls.unreadable", pair->cert, "cannot read the certificate", "it must be a PEM file that the engine's user may read");
    if (!stat(pair->key, &info) && info.st_mode & S_IROTH) {
        ERR_clear_error();
        return explain(err, "tls.key_readable", pair->key, "everybody may read this private key",
                       "chmod o-r the file, and make a new key if others use this machine");
    }
    if (SSL_CTX_use_PrivateKey_file(context, pair->key, SSL_FILETYPE_PEM) != 1) {
        bool is_other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
        return explain(err, is_other ? "tls.mismatch" : "tls.unreadable", pair->key,
                       is_other ? "this is not the certificate's key" : "cannot read the private key",
                       is_other ? "put the key beside it that it was made with; when both are replaced, the certificate comes last"
                                : "it must be a PEM file without a password that the engine's user may read");
    }
    if (SSL_CTX_check_private_key(context) != 1)
        return explain(err, "tls.mismatch", pair->key, "this is not the certificate's key", "put the key beside it that it was made with");
    return true;
}

static bool load_clients(SSL_CTX *context, const struct bw_tls_config *config, struct bw_error *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(config->client_ca);
    if (!names || SSL_CTX_load_verify_locations(context, config->client_ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return explain(err, "tls.clients", config->client_ca, "cannot read the authorities of clients",
                       "it must be a PEM file with their certificates");
    }
    SSL_CTX_set_client_CA_list(context, names);
    if (config->client_crl) {
        X509_STORE *store = SSL_CTX_get_cert_store(context);
        X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (!lookup || X509_load_crl_file(lookup, config->client_crl, X509_FILETYPE_PEM) < 1)
            return explain(err, "tls.clients", config->client_crl, "cannot read the list of revoked certificates", "it must be a PEM file");
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 0; i < config->client_name_count; i++)
        if (!X509_VERIFY_PARAM_add1_host(param, config->client_names[i], 0))
            return explain(err, "tls.clients", config->file, "cannot take the names of clients", "names are host names as erp.example.com");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (config->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    SSL_CTX_set_verify_depth(context, CHAIN_DEPTH_MAX);
    /* A resumed session shows no certificate again: it could outlive its revocation. */
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return true;
}

/* ---- names ---- */

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const struct bw_tls *tls = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (size_t i = 0; name && i < tls->context_count; i++) {
        if (X509_check_host(SSL_CTX_get0_certificate(tls->contexts[i]), name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) != 1) continue;
        return SSL_set_SSL_CTX(ssl, tls->contexts[i]) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_NOACK; /* the first one: whoever checks it will see */
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void note_end(struct bw_tls *tls, SSL_CTX *context, const char *file)
{
    int days = 0, seconds = 0;
    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(SSL_CTX_get0_certificate(context)))) return;
    if (seconds < 0) days--;
    if (tls->first_to_end && tls->days_left <= days) return;
    free(tls->first_to_end);
    tls->first_to_end = strdup(file);
    tls->days_left = days;
}

static bool add(struct bw_tls *tls, const struct bw_tls_config *config, const struct bw_tls_pair *pair, struct bw_error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || !set_policy(context)) {
        SSL_CTX_free(context);
        return explain(err, "tls.library", pair->cert, "OpenSSL refuses the settings", "is the system's openssl.cnf stricter than TLS 1.2?");
    }
    tls->contexts[tls->context_count++] = context;
    if (!load_pair(context, pair, err) || (config->client_ca && !load_clients(context, config, err))) return false;
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(context, tls);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    note_end(tls, context, pair->cert);
    return true;
}

struct bw_tls *bw_tls_load(const struct bw_tls_config *config, struct bw_error *err)
{
    struct bw_tls *tls = calloc(1, sizeof *tls);
    bw_error_set(err, "memory", "out of memory");
    if (!tls) return NULL;
    atomic_init(&tls->references, 1);
    ERR_clear_error();
    bool good = (tls->contexts = calloc(config->pair_count + 1, sizeof *tls->contexts));
    for (size_t i = 0; good && i < config->pair_count; i++) good = add(tls, config, &config->pairs[i], err);
    if (good) return tls;
    bw_tls_unref(tls);
    return NULL;
}

struct bw_tls *bw_tls_ref(struct bw_tls *tls)
{
    atomic_fetch_add_explicit(&tls->references, 1, memory_order_relaxed);
    return tls;
}

void bw_tls_unref(struct bw_tls *tls)
{
    if (!tls || atomic_fetch_sub_explicit(&tls->references, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < tls->context_count; i++) SSL_CTX_free(tls->contexts[i]);
    free(tls->contexts);
    free(tls->first_to_end);
    free(tls);
}

int64_t bw_tls_days_left(const struct bw_tls *tls, const char **cert)
{
    *cert = tls->first_to_end;
    return tls->days_left;
}

/* ---- connections ---- */

SSL *bw_tls_accept(const struct bw_tls *tls, int fd)
{
    SSL *ssl = SSL_new(tls->contexts[0]);
    if (ssl && SSL_set_fd(ssl, fd)) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

bool bw_tls_client(const SSL *ssl, struct bw_buf *subject)
{
    X509 *shown = SSL_get0_peer_certificate(ssl);
    BIO *text = shown ? BIO_new(BIO_s_mem()) : NULL;
    char *bytes;
    bool good = text && X509_NAME_print_ex(text, X509_get_subject_name(shown), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0;
    long len = good ? BIO_get_mem_data(text, &bytes) : 0;
    if (len > 0) bw_buf_append(subject, bytes, (size_t)len);
    BIO_free(text);
    return len > 0 && !subject->failed;
}
