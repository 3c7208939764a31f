/* libcurl.h: libcurl, loaded by the processes that make requests. It brings 27 libraries with it, and linking it made each start of each process,
 * also of `bellwire runs`, 9 ms longer. The functions are called by their own names (<curl/curl.h>), after this. */
#ifndef BW_BASE_LIBCURL_H
#define BW_BASE_LIBCURL_H
#include "base/error.h"

/* Once is enough, more does no harm. One thread, before the first call of libcurl; initialises it, too. False: it is not there (http.no_library). */
bool bw_libcurl_load(struct bw_error *err);
#endif
