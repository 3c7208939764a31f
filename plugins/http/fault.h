/* fault.h: how a transfer that brought no answer of use ends a call, by the rules of README.md. Pure. */
#ifndef HTTP_FAULT_H
#define HTTP_FAULT_H
#include "transfer.h"

struct http_fault {
    enum bw_plugin_outcome outcome; /* RETRY or FAIL */
    const char *code;               /* static */
    char message[800];
    int64_t retry_after_ms; /* -1: no wish */
    bool is_doubtful;       /* as in struct bw_plugin_result */
};
struct http_accepted { /* statuses that are an answer although they are not 2xx */
    int statuses[16];
    size_t count;
};
void http_fault_set(struct http_fault *fault, enum bw_plugin_outcome outcome, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Is it an answer of use? Else `fault` says why not. */
bool http_judge(const struct http_transfer *transfer, CURLcode result, const struct http_accepted *accepted, struct http_fault *fault);
#endif
