/* libcurl.h: libcurl, loaded by the processes that make requests. It brings 27 libraries with it, and linking it made each start of each process,
 * also of `bellwire runs`, 9 ms longer. The functions are called by their own names (<curl/curl.h>), after this. The file stands alone, so that a
 * plugin can have one of its own. */
#ifndef BW_BASE_LIBCURL_H
#define BW_BASE_LIBCURL_H

/* Once is enough, more does no harm. One thread, before the first call of libcurl; initialises it, too. NULL: it is there. Else why it is not, with
 * the cure, for people; valid until the next call. */
const char *bw_libcurl_load(void);
#endif
