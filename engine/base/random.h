/* random.h: the only door to randomness. Any thread. */
#ifndef BW_BASE_RANDOM_H
#define BW_BASE_RANDOM_H
#include <stddef.h>
#include <stdint.h>

void bw_random_bytes(void *out, size_t len); /* cryptographic (getrandom(2), buffered per thread); aborts the process if the system has none */
double bw_random_unit(void);                 /* uniform in [0,1) */
void bw_random_override(void (*fill)(void *arg, void *out, size_t len), void *arg); /* NULL = the real one; for simulators */
#endif
