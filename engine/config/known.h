/* known.h: what programs have said for their secrets, in this process. Any thread. */
#ifndef BW_CONFIG_KNOWN_H
#define BW_CONFIG_KNOWN_H
#include "base/buf.h"

void bw_known_put(char *const *argv, const char *folder, struct bw_slice value); /* instead of what it has said before */
bool bw_known_get(char *const *argv, const char *folder, struct bw_buf *out);    /* false: it was not asked yet */
#endif
