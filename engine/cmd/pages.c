#include "cmd/pages.h"
#include <stdio.h>
#include <stdlib.h>

#define PAGE_ROWS 100
static char output[1 << 20]; /* a page of most listings; what is more is written while the reader waits */

static size_t rows_of_page(const struct bw_pages *pages)
{
    return pages->left < PAGE_ROWS ? pages->left : PAGE_ROWS;
}

int bw_pages_limit(const struct bw_command *command, const char *text, size_t *limit)
{
    char *end;
    *limit = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0; /* what is too large is as many as there can be */
    if (*limit && !*end) return -1;
    return bw_options_wrong(command, "--limit is a number of rows, 1 or more; found '%s'", text);
}

struct bw_pages bw_pages_begin(size_t limit)
{
    struct bw_pages pages = {.left = limit};
    setvbuf(stdout, output, _IOFBF, sizeof output);
    pages.wanted = rows_of_page(&pages);
    return pages;
}

void bw_pages_row(struct bw_pages *pages, int64_t id)
{
    pages->below = id;
    pages->of_page++;
    pages->shown++;
    if (pages->left) pages->left--; /* one that is named is shown without a limit */
}

bool bw_pages_next(struct bw_pages *pages)
{
    bool is_full = pages->of_page == pages->wanted;
    fflush(stdout);
    pages->of_page = 0;
    pages->wanted = rows_of_page(pages);
    return is_full && pages->wanted;
}
