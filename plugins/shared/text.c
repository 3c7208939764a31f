#include "shared/text.h"
#include <stdlib.h>
#include <string.h>

void text_append(struct text *text, const char *bytes, size_t len)
{
    if (text->has_failed) return;
    if (text->len + len + 1 > text->capacity) {
        size_t capacity = (text->len + len + 1) * 2;
        char *grown = realloc(text->bytes, capacity);
        if ((text->has_failed = !grown)) return;
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}
