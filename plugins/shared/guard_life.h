/* guard_life.h: what the guard does in its own process; see guard.h. */
#ifndef SHARED_GUARD_LIFE_H
#define SHARED_GUARD_LIFE_H
#include "shared/guard.h"

/* Its descriptors, as it finds them and as it has them: the program's three, the leash, the report. */
enum guard_way { GUARD_WAY_IN, GUARD_WAY_OUT, GUARD_WAY_ERR, GUARD_WAY_LEASH, GUARD_WAY_REPORT, GUARD_WAYS };

/* Right after fork(), with all signals blocked. */
_Noreturn void guard_live(const struct guard_program *program, const int *ways);
#endif
