/* What engine/base/random.h promises to nobody here: the same numbers in each process. Hashes and the order of what they hold are then the same each
 * time, and so are a fuzzer's way and what it finds with one seed. */
#include "base/random.h"
#include <string.h>

void bw_random_bytes(void *out, size_t len)
{
    memset(out, 0x5a, len);
}

double bw_random_unit(void)
{
    return 0.5;
}

void bw_random_override(void (*fill)(void *arg, void *out, size_t len), void *arg)
{
    (void)fill, (void)arg;
}
