#include "fault.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_MAX_S 3600 /* the engine waits no longer */
#define SAID_BYTES 200

void http_fault_set(struct http_fault *fault, enum bw_plugin_outcome outcome, const char *code, const char *format, ...)
{
    va_list values;
    *fault = (struct http_fault){.outcome = outcome, .code = code, .retry_after_ms = -1};
    va_start(values, format);
    vsnprintf(fault->message, sizeof fault->message, format, values);
    va_end(values);
}

static bool is_accepted(const struct http_accepted *accepted, long status)
{
    for (size_t i = 0; i < accepted->count; i++)
        if (accepted->statuses[i] == status) return true;
    return (status >= 200 && status < 300) || status == 304;
}

/* 501 and 503 say that nothing was done. */
static bool is_doubtful(const struct http_transfer *transfer, bool has_answer)
{
    long status = transfer->response.status;
    if (!transfer->can_change || !http_transfer_was_sent(transfer)) return false;
    return !has_answer || (status >= 500 && status != 501 && status != 503);
}

/* Retry-After, in seconds or as a date. */
static int64_t retry_after_ms(const struct http_transfer *transfer)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &seconds);
    return seconds > 0 ? (int64_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000 : -1;
}

/* 407: the configured user is wrong; 403: the proxy does not let anybody there. */
static bool judge_proxy(const struct http_transfer *transfer, struct http_fault *fault)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (transfer->was_tried || status < 300) return false;
    bool is_permanent = status < 500 && status != 408 && status != 425 && status != 429;
    http_fault_set(fault, is_permanent ? BW_PLUGIN_FAIL : BW_PLUGIN_RETRY, "http.proxy", "the proxy answered %ld and made no connection", status);
    return true;
}

static void judge_failure(const struct http_transfer *transfer, CURLcode result, struct http_fault *fault)
{
    static const CURLcode permanent[] = {CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
                                         CURLE_SSL_CACERT_BADFILE};
    const char *stranger = result == CURLE_PEER_FAILED_VERIFICATION ? transfer->trust.host : NULL;
    enum bw_plugin_outcome outcome = BW_PLUGIN_RETRY;
    for (size_t i = 0; i < sizeof permanent / sizeof *permanent; i++)
        if (result == permanent[i]) outcome = BW_PLUGIN_FAIL;
    http_fault_set(fault, outcome, result == CURLE_OPERATION_TIMEDOUT ? "http.timeout" : "http.network", "%.255s%s%s", stranger ? stranger : "",
                   stranger ? ": " : "", *transfer->error ? transfer->error : curl_easy_strerror(result));
}

/* What the server said is most of what a person needs to know: its first line, as far as it is text. */
static void judge_status(const struct http_transfer *transfer, struct http_fault *fault)
{
    const struct http_response *response = &transfer->response;
    const char *location = json_string_value(json_object_get(response->headers, "location"));
    long status = response->status;
    size_t len = 0;
    while (len < response->len && len < SAID_BYTES && (unsigned char)response->body[len] >= ' ') len++;
    if (status >= 300 && status < 400)
        http_fault_set(fault, BW_PLUGIN_FAIL, "http.status", "the server answered %ld: redirects are not followed; it names %.200s", status,
                       location ? location : "no place");
    else
        http_fault_set(fault, BW_PLUGIN_FAIL, "http.status", len ? "the server answered %ld: %.*s" : "the server answered %ld", status, (int)len,
                       response->body);
    if (status != 408 && status != 425 && status != 429 && status < 500) return;
    fault->outcome = BW_PLUGIN_RETRY;
    fault->retry_after_ms = retry_after_ms(transfer);
}

bool http_judge(const struct http_transfer *transfer, CURLcode result, const struct http_accepted *accepted, struct http_fault *fault)
{
    const char *cut = NULL;
    bool has_answer = result == CURLE_OK && !(cut = bw_http_trust_fault(&transfer->trust, transfer->easy));
    if (transfer->was_address_refused && result != CURLE_OK)
        http_fault_set(
            fault, BW_PLUGIN_FAIL, "http.address_denied",
            "the name leads to a private or loopback address, which this instance does not allow (allow_private_network in bellwire.yaml)");
    else if (transfer->is_too_large)
        http_fault_set(fault, BW_PLUGIN_FAIL, "http.too_large", "the answer is larger than %zu bytes", transfer->max_bytes);
    else if (transfer->was_kept_back)
        http_fault_set(fault, BW_PLUGIN_RETRY, "http.network", "the server has closed the connection without an answer");
    else if (result != CURLE_OK && !judge_proxy(transfer, fault))
        judge_failure(transfer, result, fault);
    else if (cut)
        http_fault_set(fault, BW_PLUGIN_RETRY, "http.network", "%s", cut);
    else if (has_answer && is_accepted(accepted, transfer->response.status))
        return true;
    else if (has_answer)
        judge_status(transfer, fault);
    fault->is_doubtful = is_doubtful(transfer, has_answer);
    return false;
}
