#include "base/environment.h"
#include "base/crash_point.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a child may know of the environment. Everything else could be a secret. */
static const char *const passed_variables[] = {
    "PATH=",
    "HOME=",
    "LANG=",
    "LC_",
    "TZ=",
    "TMPDIR=",
    "SSL_CERT_",
    "CURL_CA_BUNDLE=",
    "ASAN_OPTIONS=",
    "UBSAN_OPTIONS=",
    "LSAN_OPTIONS=",
    "TSAN_OPTIONS=",
    "LD_LIBRARY_PATH=",
#ifdef BELLWIRE_TEST_HOOKS
    "BELLWIRE_CLOCK_AHEAD_MS=", /* one time for all of it */
    "BELLWIRE_CRASH_STEP=",
#endif
};

char **bw_child_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count]) count++;
    char **list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        for (size_t k = 0; k < sizeof passed_variables / sizeof *passed_variables; k++)
            if (!strncmp(environ[i], passed_variables[k], strlen(passed_variables[k]))) {
                list[kept++] = environ[i];
                break;
            }
#ifdef BELLWIRE_TEST_HOOKS
    for (size_t i = 0; list && bw_crash_point_is_of_worker() && i < count; i++)
        if (!strncmp(environ[i], "BELLWIRE_CRASH=", 15)) list[kept++] = environ[i];
#endif
    return list;
}
