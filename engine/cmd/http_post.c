#include "cmd/http_post.h"
#include "base/libcurl.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 30L
#define ANSWER_BYTES_MAX (1u << 20)

struct receiving {
    struct bw_buf *answer;
    size_t most;
};

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    const struct receiving *receiving = arg;
    size_t len = size * count;
    if (receiving->answer->len + len > receiving->most) return 0;
    bw_buf_append(receiving->answer, bytes, len);
    return receiving->answer->failed ? 0 : len;
}

/* "Name: value\n" lines → curl's list. */
static struct curl_slist *split(struct bw_slice headers)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* none: no waiting for a 100 */
    while (headers.len && list) {
        const char *end = memchr(headers.ptr, '\n', headers.len);
        size_t len = end ? (size_t)(end - headers.ptr) : headers.len;
        char *line = bw_slice_dup((struct bw_slice){headers.ptr, len});
        struct curl_slist *grown = line ? curl_slist_append(list, line) : NULL;
        free(line);
        if (!grown) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = grown;
        headers = (struct bw_slice){headers.ptr + len + (end ? 1 : 0), headers.len - len - (end ? 1 : 0)};
    }
    return list;
}

bool bw_http_post(const struct bw_http_post *post, unsigned *status, struct bw_buf *answer, struct bw_error *err)
{
    struct receiving receiving = {answer, post->answer_bytes_max ? post->answer_bytes_max : ANSWER_BYTES_MAX};
    struct curl_slist *list = NULL;
    char reason[CURL_ERROR_SIZE] = "";
    long code = 0;
    const char *fault = bw_libcurl_load();
    if (fault) return bw_error_set(err, "http.no_library", "%s", fault);
    CURL *easy = curl_easy_init();
    if (!easy || !(list = split(post->headers))) {
        if (easy) curl_easy_cleanup(easy);
        return bw_error_set(err, "memory", "out of memory for the request");
    }
    curl_easy_setopt(easy, CURLOPT_URL, post->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (post->socket_path) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, post->socket_path);
    if (post->ca_file) curl_easy_setopt(easy, CURLOPT_CAINFO, post->ca_file);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, post->timeout_s ? post->timeout_s : TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body.ptr ? post->body.ptr : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &receiving);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    *status = (unsigned)code;
    bool good = code && (result == CURLE_OK || result == CURLE_SEND_ERROR); /* a refusal may come before everything is sent */
    if (!good) {
        bw_error_set(err, "send.failed", "cannot post to %s%s%s: %s", post->url, post->socket_path ? " over " : "",
                     post->socket_path ? post->socket_path : "", *reason ? reason : curl_easy_strerror(result));
        if (result == CURLE_COULDNT_CONNECT) bw_error_hint(err, "is the engine running? start it with: bellwire serve");
        if (result == CURLE_PEER_FAILED_VERIFICATION)
            bw_error_hint(err, "the certificate is not trusted, or not of this name; --ca FILE names the authority that signed it");
    }
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    return good;
}
