/* text.h: a text that grows. Pure; any thread. */
#ifndef SHARED_TEXT_H
#define SHARED_TEXT_H
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes; /* NUL-terminated; NULL while it is empty */
    size_t len, capacity;
    bool has_failed; /* no memory: everything after that is ignored */
};
void text_append(struct text *text, const char *bytes, size_t len);
void text_free(struct text *text);
#endif
