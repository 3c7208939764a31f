#include "trust/http_trust.h"
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Has the server said goodbye? One for each connection, which may be over before the request is, and serve many requests. */
struct bw_farewell {
    unsigned references;
    bool is_said;
};

static int farewell_index = -1; /* of SSL_CTX: libcurl makes one for each connection */

static void unref(struct bw_farewell *farewell)
{
    if (farewell && !--farewell->references) free(farewell);
}

static void on_context_free(void *context, void *farewell, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
    (void)context, (void)data, (void)index, (void)number, (void)pointer;
    unref(farewell);
}

static void on_info(const SSL *ssl, int where, int result)
{
    struct bw_farewell *farewell;
    if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || (result & 0xff) != SSL_AD_CLOSE_NOTIFY) return;
    if ((farewell = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), farewell_index))) farewell->is_said = true;
}

/* "[::1]" → "::1", without a zone: that is no part of a certificate. */
static void strip(char *host)
{
    size_t len = strlen(host);
    if (len < 2 || *host != '[') return;
    memmove(host, host + 1, len - 2);
    host[len - 2] = '\0';
    host[strcspn(host, "%")] = '\0';
}

/* libcurl's, without the brackets; NULL: it is not known. */
static char *host_of(CURL *easy)
{
    const char *url = NULL;
    char *host = NULL;
    CURLU *parts = curl_url();
    if (!parts) return NULL;
    if (!curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url) && url && !curl_url_set(parts, CURLUPART_URL, url, 0) &&
        !curl_url_get(parts, CURLUPART_HOST, &host, CURLU_PUNYCODE))
        strip(host);
    curl_url_cleanup(parts);
    return host;
}

/* What libcurl does not look at: it takes the subject for a name when the list of names is missing, and the end of a connection for the end of an
 * answer without a length, whether the server has said so or not. */
static CURLcode on_context(CURL *easy, void *context, void *arg)
{
    struct bw_http_trust *trust = arg;
    X509_VERIFY_PARAM *asked = SSL_CTX_get0_param(context);
    struct bw_farewell *farewell;
    if (!trust->host && !(trust->host = host_of(easy))) return CURLE_PEER_FAILED_VERIFICATION;
    X509_VERIFY_PARAM_set_hostflags(asked, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!X509_VERIFY_PARAM_set1_ip_asc(asked, trust->host) && !X509_VERIFY_PARAM_set1_host(asked, trust->host, 0)) return CURLE_OUT_OF_MEMORY;
    if (farewell_index < 0) farewell_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_free);
    if (farewell_index < 0 || !(farewell = calloc(1, sizeof *farewell))) return CURLE_OUT_OF_MEMORY;
    farewell->references = 1;
    if (!SSL_CTX_set_ex_data(context, farewell_index, farewell)) {
        free(farewell);
        return CURLE_OUT_OF_MEMORY;
    }
    SSL_CTX_set_info_callback(context, on_info);
    return CURLE_OK;
}

bool bw_http_trust_begin(struct bw_http_trust *trust, CURL *easy)
{
    const char *file = getenv("SSL_CERT_FILE"), *folder = getenv("SSL_CERT_DIR");
    if (file && *file) curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    if (folder && *folder) curl_easy_setopt(easy, CURLOPT_CAPATH, folder);
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, trust) == CURLE_OK;
}

/* The head is there, over a connection that lives. */
static void remember_farewell(struct bw_http_trust *trust, CURL *easy)
{
    const struct curl_tlssessioninfo *session = NULL;
    if (trust->farewell || curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session) || !session || !session->internals) return;
    if (farewell_index < 0 || !(trust->farewell = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session->internals), farewell_index))) return;
    trust->farewell->references++;
}

void bw_http_trust_header(struct bw_http_trust *trust, CURL *easy, const char *line, size_t len)
{
    static const char status[] = "HTTP/", encoding[] = "transfer-encoding:";
    trust->has_head = line[0] == '\n' || (len > 1 && line[0] == '\r' && line[1] == '\n');
    if (trust->has_head) remember_farewell(trust, easy);
    if (len >= sizeof status && !strncasecmp(line, status, sizeof status - 1)) trust->is_chunked = false; /* an interim answer's do not count */
    if (len >= sizeof encoding && !strncasecmp(line, encoding, sizeof encoding - 1)) trust->is_chunked = true;
}

/* Its end is that of the connection: a body without a length. */
static bool is_open_ended(const struct bw_http_trust *trust, CURL *easy)
{
    const char *method = NULL;
    curl_off_t length = -1;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_METHOD, &method);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return length < 0 && !trust->is_chunked && status != 204 && status != 304 && !(method && !strcmp(method, "HEAD"));
}

const char *bw_http_trust_fault(const struct bw_http_trust *trust, CURL *easy)
{
    if (!trust->has_head) return "the connection ended within the head of the answer";
    if (!trust->farewell || trust->farewell->is_said || !is_open_ended(trust, easy)) return NULL;
    return "the connection was cut, and nothing else says where the answer ends: it may not be whole";
}

void bw_http_trust_end(struct bw_http_trust *trust)
{
    curl_free(trust->host);
    unref(trust->farewell);
    *trust = (struct bw_http_trust){0};
}
