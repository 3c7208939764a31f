/* error.h: errors as values, with a place and a next step for the reader.
 *
 * A function that can fail takes a `struct bw_error *err` last, returns false (or NULL) and fills it. `err` may be
 * NULL when the caller does not care. Callers add a place with bw_error_at() and pass it on; nobody prints and goes on.
 * Plain values: no ownership, copy them freely, any thread. Texts longer than a field are cut, never overflowed. */
#ifndef BW_BASE_ERROR_H
#define BW_BASE_ERROR_H
#include <stdbool.h>
#include <stddef.h>

struct bw_error {
    char code[48];     /* dotted and stable, for programs: "yaml.syntax", "store.locked", "expr.not_boolean" */
    char message[512]; /* for people: what was found and what was expected, without the place */
    char hint[256];    /* the next step, or "": "did you mean 'steps'?", "run: bellwire check" */
    char file[256];    /* the place, or "" */
    int line, column;  /* 1-based; 0 = unknown */
};

void bw_error_clear(struct bw_error *err);
/* Overwrites the whole error (place and hint become empty). Always returns false, so `return bw_error_set(…)` reads well. */
bool bw_error_set(struct bw_error *err, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bw_error_hint(struct bw_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Fills the place where it is still unknown: the innermost place wins. file may be NULL. */
void bw_error_at(struct bw_error *err, const char *file, int line, int column);
/* "file:line:column: message (hint)  [code]" without the parts that are empty; returns buf. */
const char *bw_error_text(const struct bw_error *err, char *buf, size_t size);

/* A list of errors, for checks that report all they find. Zero-initialise; free with bw_errors_free(). One thread. */
struct bw_errors {
    struct bw_error *items;
    size_t count, capacity;
    size_t dropped; /* errors beyond BW_ERRORS_MAX */
};
#define BW_ERRORS_MAX 200 /* more are counted as one last "too_many_errors" entry */
/* Never NULL: the new entry, to which a place and a hint may be added (a scratch one if the list is full). */
struct bw_error *bw_errors_add(struct bw_errors *list, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bw_errors_push(struct bw_errors *list, const struct bw_error *err);
void bw_errors_free(struct bw_errors *list);
#endif
