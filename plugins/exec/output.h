/* output.h: what a program has written, as much of it as is kept, and how it is told. Pure; one thread. */
#ifndef EXEC_OUTPUT_H
#define EXEC_OUTPUT_H
#include "shared/text.h"
#include <jansson.h>

struct exec_output {
    struct text kept;
    size_t most;    /* so many bytes are kept: */
    bool is_of_end; /* the last ones, not the first */
    bool is_cut;
};
void exec_output_add(struct exec_output *output, const char *bytes, size_t len);
void exec_output_finish(struct exec_output *output); /* nothing more comes */
void exec_output_free(struct exec_output *output);
/* As a text of JSON: what is no UTF-8, and NUL, is U+FFFD. New references; NULL without memory. */
json_t *exec_text_value(const char *bytes, size_t len);
json_t *exec_base64_value(const char *bytes, size_t len);
/* Its last lines, for people: as many as fit into `size`, white space at the ends left out. */
void exec_output_tail(const struct exec_output *output, char *out, size_t size);

/* Bytes become lines: each is told once it is whole; one that is too long, in pieces. */
struct exec_lines {
    char line[1000];
    size_t len;
};
void exec_lines_add(struct exec_lines *lines, const char *bytes, size_t len, void (*tell)(void *arg, const char *line), void *arg);
void exec_lines_finish(struct exec_lines *lines, void (*tell)(void *arg, const char *line), void *arg);
#endif
