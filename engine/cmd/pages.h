/* pages.h: a listing that is read page by page. Whoever pipes it into `less` may look at it for an hour: meanwhile nothing is read, and the store's
 * log can be emptied. It also gives each page the whole time that a reader has. */
#ifndef BW_CMD_PAGES_H
#define BW_CMD_PAGES_H
#include "cmd/options.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bw_pages {
    size_t left;   /* rows that may still be shown */
    size_t wanted; /* for the reader: of this page */
    size_t shown;  /* of all pages */
    int64_t below; /* for the reader: 0 first */
    size_t of_page;
};

/* The command's --limit, how many rows are wanted at most: a whole number from 1 on. -1, or the exit status when the text is none, which is printed.
 */
int bw_pages_limit(const struct bw_command *command, const char *text, size_t *limit);
/* Output is collected from here on, and written with each bw_pages_next(). */
struct bw_pages bw_pages_begin(size_t limit);
/* For each row, in descending order of their ids. */
void bw_pages_row(struct bw_pages *pages, int64_t id);
/* After a page was read. False: that was the last. */
bool bw_pages_next(struct bw_pages *pages);
#endif
